"""The dashboard: files for browsers, and the routes that hand them out. What they show they ask the API for."""
