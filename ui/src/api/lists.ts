// Lists that the API gives one account at a time: the operator of the node, who chose none, sees those of all.
import { useQuery } from '@tanstack/react-query';
import { ask } from './client';
import { useSession } from './session';

/** Accounts that are asked at once; beyond, one is to be chosen. */
const ACCOUNTS_MAX = 40;

export function useOfAccounts<T>(path: string, parameter: 'accountId' | 'account_id', options: { refetchInterval?: number; enabled?: boolean; query?: Record<string, string | undefined> } = {}) {
  const { accountId, isNode, accounts } = useSession();
  const ids = accountId ? [accountId] : isNode ? accounts.slice(0, ACCOUNTS_MAX).map((account) => account.id) : [undefined];
  return useQuery({
    queryKey: [path, ids, options.query],
    enabled: ids.length > 0 && options.enabled !== false,
    refetchInterval: options.refetchInterval,
    queryFn: async () => {
      const pages = await Promise.all(
        ids.map((id) => {
          const search = new URLSearchParams({ limit: '500' });
          if (id) search.set(parameter, id);
          for (const [name, value] of Object.entries(options.query ?? {})) if (value) search.set(name, value);
          return ask<T[]>('GET', `${path}?${search.toString()}`);
        }),
      );
      return pages.flat();
    },
  });
}
