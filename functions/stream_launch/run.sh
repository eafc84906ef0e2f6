#!/bin/sh
# What the Lambda Web Adapter starts: the app on the port that it asks.
exec python -m uvicorn --factory handler:app --host 127.0.0.1 --port "${AWS_LWA_PORT:-8080}" --no-access-log
