// The agents: who answers, in which state, and the way into each.
import { Button, Modal } from '@mantine/core';
import { IconCopy, IconPlayerPause, IconPlayerPlay, IconPlus, IconRobot } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { lazy, useCallback, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask } from '../../api/client';
import { useAgents } from '../../api/names';
import { useSession } from '../../api/session';
import { IconButton, useAction } from '../../parts/actions';
import { Lines, Main, Small } from '../../parts/cells';
import type { Column } from '../../parts/DataTable';
import { EntityPage } from '../../parts/EntityPage';
import { dateTime } from '../../parts/format';
import { Later } from '../../parts/Later';
import { StateBadge } from '../../parts/StateBadge';
import type { Agent } from './types';

const NewAgent = lazy(() => import('./NewAgent').then((module) => ({ default: module.NewAgent })));

export function Agents() {
  const { t } = useTranslation();
  const { accountId, may, isNode, accountName } = useSession();
  const list = useAgents();
  const [making, setMaking] = useState(false);
  const stale = [['/api/agents']];
  const pause = useAction((agent: Agent) => ask('POST', `/api/agents/${agent.id}/pause`, {}), { stale, done: (_, agent) => t('agents.list.paused', { name: agent.name }) });
  const resume = useAction((agent: Agent) => ask('POST', `/api/agents/${agent.id}/resume`), { stale, done: (_, agent) => t('agents.list.resumed', { name: agent.name }) });
  const copy = useAction((agent: Agent) => ask('POST', `/api/agents/${agent.id}/duplicate`, { name: t('agents.list.copyName', { name: agent.name }) }), { stale, done: t('agents.list.copied') });
  const remove = useAction((agent: Agent) => ask('DELETE', `/api/agents/${agent.id}`), { stale, done: (_, agent) => t('agents.list.removed', { name: agent.name }) });

  const columns = useMemo<Column<Agent>[]>(() => [
    {
      id: 'name',
      header: t('common.name'),
      title: true,
      sort: (agent) => agent.name.toLowerCase(),
      cell: (agent) => (
        <Lines>
          <Link to={`/agents/${agent.id}` as '/live'}>
            <Main>{agent.name}</Main>
          </Link>
          {isNode && !accountId && <Small>{accountName(agent.accountId)}</Small>}
        </Lines>
      ),
    },
    {
      id: 'state',
      header: t('agents.list.state'),
      sort: (agent) => (agent.isActive ? 0 : 1),
      cell: (agent) => (
        <Lines>
          <StateBadge tone={agent.isActive ? 'good' : 'pause'}>{agent.isActive ? t('agents.list.active') : t('agents.list.isPaused')}</StateBadge>
          {agent.pauseReason && <Small>{agent.pauseReason}</Small>}
        </Lines>
      ),
    },
    { id: 'voice', header: t('agents.editor.voice'), sort: (agent) => String(agent.aiVoice ?? ''), cell: (agent) => String(agent.aiVoice ?? '–') },
    { id: 'version', header: t('agents.list.version'), right: true, sort: (agent) => agent.version, cell: (agent) => agent.version },
    { id: 'updated', header: t('agents.list.updated'), right: true, sort: (agent) => agent.updatedAt, cell: (agent) => dateTime(agent.updatedAt) },
  ], [t, isNode, accountId, accountName]);
  const mayPause = may('operator');
  const mayWrite = may('admin');
  const [pauseNow, resumeNow, copyNow, removeNow] = [pause.mutate, resume.mutate, copy.mutate, remove.mutate];
  const more = useCallback(
    (agent: Agent) => (
      <>
        {agent.isActive ? (
          <IconButton label={t('agents.list.pauseOne', { name: agent.name })} icon={IconPlayerPause} onClick={() => pauseNow(agent)} />
        ) : (
          <IconButton label={t('agents.list.resumeOne', { name: agent.name })} icon={IconPlayerPlay} onClick={() => resumeNow(agent)} />
        )}
        {mayWrite && <IconButton label={t('agents.list.copyOne', { name: agent.name })} icon={IconCopy} onClick={() => copyNow(agent)} />}
      </>
    ),
    [t, mayWrite, pauseNow, resumeNow, copyNow],
  );
  const removing = useMemo(() => (mayWrite ? { text: t('agents.list.removeText'), run: (agent: Agent) => removeNow(agent) } : undefined), [t, mayWrite, removeNow]);
  return (
    <>
      <EntityPage
        title={t('agents.list.title')}
        intro={t('agents.list.intro')}
        query={{ ...list, data: list.data as unknown as Agent[] | undefined }}
        columns={columns}
        rowId={idOf}
        nameOf={nameOf}
        icon={IconRobot}
        emptyTitle={t('agents.list.empty')}
        emptyHint={mayWrite ? t('agents.list.emptyHint') : t('common.askAdmin')}
        actions={
          may('admin') && (
            <Button leftSection={<IconPlus size={16} />} onClick={() => setMaking(true)}>
              {t('agents.list.add')}
            </Button>
          )
        }
        more={mayPause ? more : undefined}
        remove={removing}
      />
      <Modal opened={making} onClose={() => setMaking(false)} size="lg" title={t('agents.list.add')} closeButtonProps={{ 'aria-label': t('common.close') }}>
        {making && <Later><NewAgent /></Later>}
      </Modal>
    </>
  );
}

const idOf = (agent: Agent) => agent.id;
const nameOf = (agent: Agent) => agent.name;
