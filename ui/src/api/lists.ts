// Lists that the API gives one account at a time: the operator of the node, who chose none, sees those of all.
import { useQuery } from '@tanstack/react-query';
import { askList } from './client';
import { useSession } from './session';

/** Accounts that are asked; beyond, one is to be chosen. */
export const ACCOUNTS_MAX = 40;
/** Milliseconds of a poll for each of them: many accounts are looked at less often. */
const ACCOUNT_MS = 500;

interface Options {
  refetchInterval?: number;
  query?: Record<string, string | undefined>;
  /** Of a history, whose end nobody wants: its first page. */
  newest?: boolean;
}

export function useOfAccounts<T>(path: string, parameter: 'accountId' | 'account_id', { refetchInterval, query, newest }: Options = {}) {
  const { accountId, isNode, accounts } = useSession();
  const ids = accountId ? [accountId] : isNode ? accounts.slice(0, ACCOUNTS_MAX).map((account) => account.id) : [undefined];
  return useQuery({
    queryKey: [path, ids, query],
    enabled: ids.length > 0,
    refetchInterval: refetchInterval && Math.max(refetchInterval, ids.length * ACCOUNT_MS),
    queryFn: async ({ signal }) => {
      // One after the other: all at once would be more than the API takes from one caller.
      const rows: T[] = [];
      for (const id of ids) rows.push(...(await askList<T>(path, { ...query, [parameter]: id }, { newest, signal })));
      return rows;
    },
  });
}

/** Whether such lists are those of the first accounts only. */
export function useIsCut(): boolean {
  const { accountId, isNode, accounts } = useSession();
  return isNode && !accountId && accounts.length > ACCOUNTS_MAX;
}
