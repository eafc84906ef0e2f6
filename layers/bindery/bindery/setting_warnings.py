"""Warnings at the start: allowed settings that leave a limit or a check without effect."""

from bindery.settings import Settings


def open_to_other_names(settings: Settings) -> str:
    """Return a warning if a web page can read private hosts' repositories by DNS rebinding (its name resolves to this Bindery).

    Otherwise return an empty text. The local server compares the request's host name with its own name, if it has one: see
    `infra/local/bindery_local/http_server.py`.
    """
    if settings.queues != "memory" or settings.launcher == "process":
        return ""
    if settings.public_url or settings.private_repositories or not settings.allowed_private_hosts:
        return ""
    return (
        "A web page whose name is made to lead to this Bindery can read repositories at the hosts in BINDERY_ALLOWED_PRIVATE_HOSTS. "
        "Name this Bindery's own address in BINDERY_PUBLIC_URL: then it answers to that name and localhost only."
    )


def blind_to_clients(settings: Settings) -> str:
    """Return a warning if other machines reach this Bindery only by a proxy, and no proxy is trusted to name its clients.

    Otherwise return an empty text. The local server listens on loopback. If sessions are not processes, clients on other machines
    therefore use a proxy. API Gateway knows only its peer, which is a proxy if `public_url` is the proxy's address.
    """
    front, gateway = settings.queues == "memory", bool(settings.public_url)
    if settings.trusted_proxies or settings.launcher == "process" or (not front and not gateway):
        return ""
    banned = "BINDERY_BAN_NETWORKS refuses none of them, and " if settings.ban_networks else ""
    limits = "limits per client do not hold for them" if front else "they share the limits of one client"
    return f"Clients that come by a proxy cannot be told apart: {banned}{limits}. Name the proxy's network in BINDERY_TRUSTED_PROXIES."
