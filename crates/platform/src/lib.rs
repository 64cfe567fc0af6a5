//! The platform API under `/api`: tenants, agents, tools, lines, calls, live events.
