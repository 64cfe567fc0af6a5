import { Spotlight } from '@mantine/spotlight';
import { IconSearch } from '@tabler/icons-react';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useSession } from '../api/session';
import { useApi, WHOLE } from '../api/client';
import { IconPhone, IconRobot } from '@tabler/icons-react';
import type { NavGroup } from './nav';

/** `Ctrl+K`: pages, agents by name, calls by number. */
export function Palette({ menu }: { menu: NavGroup[] }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { accountId } = useSession();
  const [query, setQuery] = useState('');
  const agents = useApi('/api/agents', { query: { accountId, limit: WHOLE } }, { staleTime: 60_000, enabled: query.length > 1 });
  const digits = query.replace(/[^\d+]/g, '');
  return (
    <Spotlight
      query={query}
      onQueryChange={setQuery}
      shortcut={null}
      attributes={{ content: { 'aria-label': t('common.search') } }}
      nothingFound={t('common.nothingFound')}
      highlightQuery
      scrollable
      searchProps={{ leftSection: <IconSearch size={18} />, placeholder: t('common.searchHint'), 'aria-label': t('common.search') }}
      actions={[
        ...menu.map((group) => ({
          group: t(`common.groups.${group.key}` as 'common.groups.operate'),
          actions: group.items.map((item) => ({
            id: item.to,
            label: t(`common.nav.${item.key}` as 'common.nav.live'),
            leftSection: <item.icon size={18} stroke={1.7} />,
            onClick: () => void navigate({ to: item.to }),
          })),
        })),
        {
          group: t('common.nav.agents'),
          actions: (agents.data ?? [])
            .filter((agent) => query.length > 1 && agent.name.toLowerCase().includes(query.toLowerCase()))
            .slice(0, 8)
            .map((agent) => ({ id: agent.id, label: agent.name, leftSection: <IconRobot size={18} />, onClick: () => void navigate({ to: `/agents/${agent.id}` as '/live' }) })),
        },
        {
          group: t('common.nav.calls'),
          actions: digits.length > 3 ? [{ id: 'calls-of', label: t('common.callsOf', { number: query }), keywords: query, leftSection: <IconPhone size={18} />, onClick: () => void navigate({ to: '/calls', search: { party: digits } as never }) }] : [],
        },
      ]}
    />
  );
}
