// Who is logged in, what they may do, and of which account the pages speak.
import { createContext, useContext, useMemo, useState, type ReactNode } from 'react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useApi, ask, setCsrfToken, type Schemas, WHOLE } from './client';

export type Role = 'viewer' | 'operator' | 'admin' | 'owner';
const RANK: Record<Role, number> = { viewer: 0, operator: 1, admin: 2, owner: 3 };

export interface Me {
  actor: string;
  name: string;
  accountId?: string | null;
  role: Role;
  csrfToken?: string | null;
}

export const ME_KEY = ['me'];

/** `null`: nobody is logged in. */
export async function readMe(): Promise<Me | null> {
  try {
    const me = await ask<Me>('GET', '/api/auth/me');
    setCsrfToken(me.csrfToken ?? null);
    return me;
  } catch (error) {
    if ((error as { status?: number }).status === 401) return null;
    throw error;
  }
}

export function useMe() {
  return useQuery({ queryKey: ME_KEY, queryFn: readMe, staleTime: 60_000, retry: 1 });
}

export type Account = Schemas['Usage'] & { id: string; name: string; isActive: boolean; currency: string };

interface Session {
  me: Me;
  /** The operator of the node, who sees every account. */
  isNode: boolean;
  may: (role: Role) => boolean;
  /** The account that lists are narrowed to; `undefined`: all that the user sees. */
  accountId: string | undefined;
  chooseAccount: (id: string | undefined) => void;
  accounts: Account[];
  accountName: (id: string | null | undefined) => string;
  logout: () => Promise<void>;
}

const SessionContext = createContext<Session | null>(null);
const KEY = 'allo.account';

export function SessionProvider({ me, children }: { me: Me; children: ReactNode }) {
  const queries = useQueryClient();
  const isNode = !me.accountId;
  const [chosen, setChosen] = useState<string | undefined>(() => (isNode ? (sessionStorage.getItem(KEY) ?? undefined) : undefined));
  const list = useApi('/api/accounts', { query: { limit: WHOLE } }, { staleTime: 60_000 });
  const session = useMemo<Session>(() => {
    const accounts = (list.data ?? []) as unknown as Account[];
    const known = !chosen || !list.data || accounts.some((account) => account.id === chosen);
    return {
      me,
      isNode,
      may: (role) => RANK[me.role] >= RANK[role],
      accountId: me.accountId ?? (known ? chosen : undefined),
      chooseAccount: (id) => {
        if (id) sessionStorage.setItem(KEY, id);
        else sessionStorage.removeItem(KEY);
        setChosen(id);
      },
      accounts,
      accountName: (id) => accounts.find((account) => account.id === id)?.name ?? '–',
      logout: async () => {
        await ask('POST', '/api/auth/logout').catch(() => undefined);
        setCsrfToken(null);
        queries.clear();
        window.location.assign('/admin/login');
      },
    };
  }, [me, isNode, chosen, list.data, queries]);
  return <SessionContext.Provider value={session}>{children}</SessionContext.Provider>;
}

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error('useSession outside of SessionProvider');
  return session;
}
