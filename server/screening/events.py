"""Topics of content checks."""

CHECK_WANTED = "screening.check_wanted"
CONTENT_REFUSED = "screening.content_refused"
