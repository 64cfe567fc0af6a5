// Ids in records are ids: the names come from the lists.
import { useCallback, useMemo } from 'react';
import { phone } from '../parts/format';
import { useApi, WHOLE } from './client';
import { useOfAccounts } from './lists';
import { useSession } from './session';

/** The agents of the account, or of all that the user sees; asked for once, whichever parts of a page need them. */
export function useAgents(options: { staleTime?: number } = {}) {
  const { accountId } = useSession();
  return useApi('/api/agents', { query: { accountId, limit: WHOLE } }, options);
}

type Id = string | null | undefined;

const isUuid = (id: string) => /^[0-9a-f-]{36}$/.test(id);
/** Of what has no name any more. */
const short = (id: string) => (isUuid(id) ? id.slice(0, 8) : id);

export function useAgentNames(): (id: Id) => string {
  const list = useAgents({ staleTime: 60_000 });
  return useMemo(() => {
    const names = new Map((list.data ?? []).map((agent) => [agent.id, agent.name]));
    return (id) => (id ? (names.get(id) ?? short(id)) : '–');
  }, [list.data]);
}

function useLines(): Map<string, string> {
  const list = useOfAccounts<{ id: string; label: string }>('/api/admin/sip-accounts', 'account_id');
  return useMemo(() => new Map((list.data ?? []).map((line) => [line.id, line.label])), [list.data]);
}

export function useLineNames(): (id: Id) => string {
  const names = useLines();
  return useCallback((id) => (id ? (names.get(id) ?? short(id)) : '–'), [names]);
}

interface Call {
  line?: Id;
  direction: string;
  from?: string | null;
  to?: string | null;
}

/** The line of a call. One of an agent's own has no name: it is known by our number. */
export function useLineOf(): (call: Call) => string {
  const names = useLines();
  return useCallback(
    ({ line, direction, from, to }) => {
      if (!line) return '–';
      const ours = direction === 'outbound' ? from : to;
      return names.get(line) ?? (ours && isUuid(line) ? phone(ours) : short(line));
    },
    [names],
  );
}
