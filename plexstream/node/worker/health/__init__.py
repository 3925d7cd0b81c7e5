"""Whether a worker goes on, what holds it up, and what a partition's failure costs."""
