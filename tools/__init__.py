"""Development tools of the project; none of them is part of the distribution that is installed."""
