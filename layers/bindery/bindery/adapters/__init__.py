"""The ports on real things. Only here are boto3, httpx, urllib3 and dulwich."""
