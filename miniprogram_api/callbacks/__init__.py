"""Those who call us back: WeChat, carriers, payment. Verify, deduplicate, store, answer fast."""
