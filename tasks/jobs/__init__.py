"""What workers do: handlers of news ``(session, event, core)`` and periodic jobs ``(core, period)``, a file for each domain."""
