"""The local engine: AWS's services on this machine, with the project's own template deployed."""
