"""The local engine: ministack with what it lacks of AWS's behaviour."""
