"""The world behind the ports of the core. Adapters know only the core, and only `app.py` knows them."""
