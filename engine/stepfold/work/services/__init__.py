"""AWS's services and HTTP endpoints, called as AWS calls them."""
