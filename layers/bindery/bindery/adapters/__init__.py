"""Adapters that connect the ports to real services. Only these packages import boto3, httpx, urllib3 and dulwich."""
