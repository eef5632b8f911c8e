"""The process: wiring, sockets, HTTP, the page, the roles. The only package that constructs things."""
