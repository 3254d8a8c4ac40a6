"""What ``deploy/`` describes, run: three servers, two workers, beat, all that they need, and whatever kills them."""
