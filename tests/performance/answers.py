"""A cheap check of a session's API. A measurement must not measure its own cost."""

from http.client import HTTPConnection, HTTPException


def answers(address: str, port: int, host: str, token: str) -> bool:
    """Return True if the session's API answers.

    host: the name by which it is asked.
    """
    connection = HTTPConnection(address, port, timeout=5)
    try:
        connection.request("GET", "/api/status", headers={"Host": host, "Authorization": f"token {token}"})
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
