"""Message queues: in memory here, SQS on AWS."""
