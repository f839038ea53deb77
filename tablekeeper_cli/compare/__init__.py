"""Items, compared as DynamoDB holds them."""
