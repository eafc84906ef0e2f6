"""Checks of the account. Each sends read-only requests to AWS and returns findings; none changes the account."""

from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.preflight.finding import Finding, Level
from infra.preflight.stack import CEILINGS, Stack

Clients = Callable[[str], Any]
"""A botocore client by its service's name, in the stack's region."""
ANSWERS = 100
"""Concurrent executions for the functions without a ceiling: those for visitors' requests, builds' logs and events, and timers."""
UNRESERVABLE = 100
"""Concurrent executions that Lambda never lets an account reserve (docs: Configuring reserved concurrency)."""
USUAL_LIMIT, CONCURRENCY = 1000, "Concurrent executions"
MACHINES = {"BUILD_GENERAL1_SMALL": "Small", "BUILD_GENERAL1_MEDIUM": "Medium", "BUILD_GENERAL1_LARGE": "Large"}


def concurrency(stack: Stack, clients: Clients) -> Iterator[Finding]:
    """Compare Lambda's limit of concurrent executions with the stack's reservation and the sum of its ceilings."""
    account = clients("lambda").get_account_settings()["AccountLimit"]
    limit, unreserved = account["ConcurrentExecutions"], account["UnreservedConcurrentExecutions"]
    watchers = stack.number("WatchersAtOnce")
    ceilings = sum(stack.number(name) for name in CEILINGS)
    needed = ceilings + watchers + ANSWERS
    about = f"Lambda, {limit} concurrent executions"
    fits = watchers <= max(0, unreserved - UNRESERVABLE)
    enough = needed <= limit
    ask = "" if fits and enough else _increase(stack, clients, "lambda", CONCURRENCY, max(USUAL_LIMIT, needed))
    if not fits:
        words = (
            f"WatchersAtOnce={watchers} cannot be reserved: Lambda keeps {UNRESERVABLE} unreserved, and {unreserved} are unreserved "
            "now. Ask for more; until it is granted deploy with WatchersAtOnce=0: pages then poll instead of watching."
        )
        yield Finding(Level.CHANGE, about, words, ask)
    if not enough:
        words = (
            f"WatchersAtOnce and the queues' ceilings are {watchers + ceilings} together, and {ANSWERS} should stay for the "
            f"functions that answer people. Lower {', '.join(CEILINGS)}, or ask for {needed} or more."
        )
        yield Finding(Level.NOTE, about, words, ask)
    elif fits:
        yield Finding(
            Level.OK, about, f"the stack uses {watchers + ceilings} of them at most behind its queues and streams."
        )


def builds(stack: Stack, clients: Clients) -> Iterator[Finding]:
    """Compare CodeBuild's quota for the stack's machine with BuildSlots."""
    machine = MACHINES[stack.parameters["BuildMachine"]]
    name, slots = f"Concurrently running builds for Linux/{machine} environment", stack.number("BuildSlots")
    about = f"CodeBuild, Linux/{machine}"
    quota = _quota(clients, "codebuild", name)
    if quota is None:
        words = f"Service Quotas does not list '{name}' in {stack.region}. Look there for the quota before the first launch."
        yield Finding(Level.NOTE, about, words)
        return
    value = int(quota["Value"])
    if value < 1:
        words = "the quota is 0: each build is refused, and waits in line. Ask for one at least."
        yield Finding(Level.CHANGE, about, words, _increase(stack, clients, "codebuild", name, max(slots, 1)))
    elif value < slots:
        words = f"BuildSlots={slots} is more than the quota of {value}. Lower it to {value}, or ask for more."
        yield Finding(Level.CHANGE, about, words, _increase(stack, clients, "codebuild", name, slots))
    else:
        yield Finding(Level.OK, about, f"the quota is {value}, BuildSlots={slots}.")


def adapter(stack: Stack, clients: Clients) -> Iterator[Finding]:
    """Check that the Web Adapter's layer is published in the region."""
    about = "Lambda Web Adapter"
    try:
        clients("lambda").get_layer_version_by_arn(Arn=stack.adapter_layer)
    except ClientError as error:
        words = (
            f"{stack.adapter_layer} cannot be used ({_code(error)}). Name the layer of this region with WebAdapterLayer: see "
            "https://github.com/aws/aws-lambda-web-adapter, or publish its release in your account."
        )
        yield Finding(Level.CHANGE, about, words)
    else:
        yield Finding(Level.OK, about, f"{stack.adapter_layer} can be used.")


def certificate(stack: Stack, clients: Clients) -> Iterator[Finding]:
    """Check that DomainName has an issued certificate of this region for its name."""
    domain, arn = stack.parameters["DomainName"], stack.parameters["CertificateArn"]
    if not domain:
        return
    about = f"certificate of {domain}"
    request = f"aws acm request-certificate --domain-name {domain} --validation-method DNS --region {stack.region}"
    if not arn or arn.split(":")[3:4] != [stack.region]:
        yield Finding(Level.CHANGE, about, f"CertificateArn names no certificate of ACM in {stack.region}.", request)
        return
    try:
        certificate_facts = clients("acm").describe_certificate(CertificateArn=arn)["Certificate"]
    except ClientError as error:
        yield Finding(Level.CHANGE, about, f"{arn} cannot be read ({_code(error)}).", request)
        return
    names = {certificate_facts["DomainName"], *certificate_facts.get("SubjectAlternativeNames", ())}
    if certificate_facts["Status"] != "ISSUED":
        words = f"its status is {certificate_facts['Status']}. Put the DNS records that ACM asks for into your zone, and wait for ISSUED."
        yield Finding(Level.CHANGE, about, words, f"aws acm describe-certificate --certificate-arn {arn}")
    elif not names & {domain, "*." + domain.partition(".")[2]}:
        yield Finding(Level.CHANGE, about, f"it is for {', '.join(sorted(names))}.", request)
    else:
        yield Finding(Level.OK, about, "it is issued.")


def access_log(stack: Stack, clients: Clients) -> Iterator[Finding]:
    """Check that the stack does not replace a log role that the account's other APIs use."""
    about, role = "API Gateway's log role", clients("apigateway").get_account().get("cloudwatchRoleArn", "")
    makes = stack.parameters["AccessLogRole"] == "make"
    if role and makes:
        words = f"the account has {role} already; the stack would replace it. Deploy with AccessLogRole=there."
        yield Finding(Level.CHANGE, about, words)
    elif not role and not makes:
        yield Finding(Level.CHANGE, about, "the account has none. Deploy with AccessLogRole=make.")
    else:
        yield Finding(Level.OK, about, "the stack makes it." if makes else f"the account has {role}.")


def streaming(stack: Stack, _clients: Clients) -> Iterator[Finding]:
    """Report a requirement that AWS has no API call for."""
    words = (
        f"AWS has no call that tells whether Lambda and API Gateway stream responses in {stack.region}. Look for 'Lambda response "
        "streaming' in Builder Center's AWS Capabilities by Region; without it deploy with WatchersAtOnce=0: pages then poll."
    )
    yield Finding(Level.NOTE, "response streaming", words)


CHECKS = (concurrency, builds, adapter, certificate, access_log, streaming)


def findings(stack: Stack, clients: Clients) -> Iterator[Finding]:
    """Run every check. A check that cannot query AWS is reported as a finding; the other checks still run."""
    for check in CHECKS:
        try:
            yield from check(stack, clients)
        except ClientError as error:
            yield Finding(Level.NOTE, check.__name__, f"not checked: AWS answered {_code(error)}.")
        except BotoCoreError as error:
            yield Finding(Level.NOTE, check.__name__, f"not checked: {error}")


def _quota(clients: Clients, service: str, name: str) -> dict[str, Any] | None:
    """Return the account's quota of this name, or AWS's default if the account's list lacks it; None if there is neither."""
    quotas = clients("service-quotas")
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        for page in quotas.get_paginator(operation).paginate(ServiceCode=service):
            for quota in page["Quotas"]:
                if quota["QuotaName"] == name:
                    return dict(quota)
    return None


def _increase(stack: Stack, clients: Clients, service: str, name: str, value: int) -> str:
    """Return the command that requests an increase from AWS.

    If Service Quotas does not return the quota's code, returns its place in the console.
    """
    try:
        quota = _quota(clients, service, name)
    except ClientError:
        quota = None
    if quota is None:
        return f"Service Quotas in the console, {service}: {name}, {value}"
    return (
        f"aws service-quotas request-service-quota-increase --service-code {service} --quota-code {quota['QuotaCode']} "
        f"--desired-value {value} --region {stack.region}"
    )


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))
