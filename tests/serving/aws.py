"""AWS clients for tests: made-up credentials, an explicit region, and no configuration of this machine."""

import boto3
from botocore.config import Config

REGION = "eu-central-1"


def session(key: str = "testing", secret: str = "testing", token: str | None = None) -> boto3.Session:
    """Return a session that cannot sign for a real account, or one with keys of an emulator."""
    return boto3.Session(
        aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token, region_name=REGION
    )


def config() -> Config:
    """Return a configuration with two attempts and short waits."""
    return Config(
        retries={"total_max_attempts": 2, "mode": "standard"},
        connect_timeout=5,
        read_timeout=20,
        max_pool_connections=32,
    )
