#!/bin/sh
# What the Lambda Web Adapter starts: the app on the port that it asks. It stands in for Lambda's own Python runtime, which
# would have added the function's folder and the layers to Python's path.
export PYTHONPATH="${LAMBDA_TASK_ROOT:-.}:/opt/python${PYTHONPATH:+:$PYTHONPATH}"
exec python3 "${LAMBDA_TASK_ROOT:-.}/serve.py"
