"""What ``deploy/`` describes, run: three servers, two workers, beat and all that they need, any of which may be killed."""
