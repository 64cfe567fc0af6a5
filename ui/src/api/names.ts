// Ids in records are ids: the names come from the lists.
import { useMemo } from 'react';
import { useApi, WHOLE } from './client';
import { useOfAccounts } from './lists';
import { useSession } from './session';

/** The agents of the account, or of all that the user sees; asked for once, whichever parts of a page need them. */
export function useAgents(options: { staleTime?: number } = {}) {
  const { accountId } = useSession();
  return useApi('/api/agents', { query: { accountId, limit: WHOLE } }, options);
}

export function useAgentNames(): (id: string | null | undefined) => string {
  const list = useAgents({ staleTime: 60_000 });
  return useMemo(() => {
    const names = new Map((list.data ?? []).map((agent) => [agent.id, agent.name]));
    return (id) => (id ? (names.get(id) ?? (/^[0-9a-f-]{36}$/.test(id) ? id.slice(0, 8) : id)) : '–');
  }, [list.data]);
}

export function useLineNames(): (id: string | null | undefined) => string {
  const list = useOfAccounts<{ id: string; label: string }>('/api/admin/sip-accounts', 'account_id');
  return useMemo(() => {
    const names = new Map((list.data ?? []).map((line) => [line.id, line.label]));
    return (id) => (id ? (names.get(id) ?? (/^[0-9a-f-]{36}$/.test(id) ? id.slice(0, 8) : id)) : '–');
  }, [list.data]);
}
