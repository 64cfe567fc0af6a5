// What the pages of workflows share.

export interface Definition {
  version: number;
  is_active: boolean;
  author: string;
  note: string;
  created_at: string;
  sip_account_id?: string | null;
  agent_id?: string | null;
  phone_numbers: string[];
  ring_timeout_s?: number | null;
  distribution: string;
}

export interface Workflow {
  id: string;
  account_id: string;
  slug: string;
  name: string;
  description?: string | null;
  is_active: boolean;
  definition?: Definition | null;
  latest_version: number;
}

export const DISTRIBUTIONS = ['selected', 'round_robin', 'weighted'] as const;
export const stale = [['/api/admin/workflows'], ['workflow-versions']];
