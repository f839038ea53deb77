"""Tablekeeper: keeps a DynamoDB table equal to the JSON files in an S3 bucket."""
