/** An agent: its own fields, and beside them every setting as it was written (docs/api.md, docs/templates.md). */
export interface Agent {
  id: string;
  accountId: string;
  name: string;
  isActive: boolean;
  pauseReason?: string | null;
  version: number;
  updatedAt: string;
  publicToken?: string | null;
  /** Entity tag of what was read. */
  etag?: string;
  [setting: string]: unknown;
}

export interface Tool {
  id: string;
  name: string;
  description?: string;
  sortOrder: number;
  isEnabled: boolean;
  parameters?: { type?: string; properties?: Record<string, Record<string, unknown>>; required?: string[] };
  http?: { method?: string; url?: string; headers?: Record<string, unknown>; bodyTemplate?: unknown; timeoutMs?: number; responseMapping?: unknown } | null;
  mcp?: { url?: string; tool?: string } | null;
  [setting: string]: unknown;
}

export const VOICES = ['alloy', 'ash', 'ballad', 'cedar', 'coral', 'echo', 'marin', 'sage', 'shimmer', 'verse'];
export const TEMPLATES = ['reception', 'restaurant', 'messages'] as const;
