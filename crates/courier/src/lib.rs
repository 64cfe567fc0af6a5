//! The house's HTTP client: tools, session addresses, MCP servers and webhooks; guarded, signed and bounded.
