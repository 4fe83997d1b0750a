"""Plain Faust: agents and Tables as shipped, none of Weir's runtime."""
