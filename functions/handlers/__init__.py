"""One module a Lambda function; each only parses its payload, makes one call and returns."""
