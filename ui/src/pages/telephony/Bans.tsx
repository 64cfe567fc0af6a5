// Sources that are not answered for a while: guessers of passwords and scanners. The operator of the node lets one in again.
import { Button } from '@mantine/core';
import { IconLockOpen, IconShieldCheck } from '@tabler/icons-react';
import { useCallback, useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, useApi, type Schemas } from '../../api/client';
import { useSession } from '../../api/session';
import { useAction } from '../../parts/actions';
import { Main, Small, Lines } from '../../parts/cells';
import type { Column } from '../../parts/DataTable';
import { EntityPage } from '../../parts/EntityPage';
import { duration, fullDateTime, number, time } from '../../parts/format';

type Ban = Schemas['BanView'];
const BANS = '/api/admin/bans';
const EVERY_MS = 5_000;

export function Bans() {
  const { t } = useTranslation();
  const { may } = useSession();
  const list = useApi(BANS, {}, { refetchInterval: EVERY_MS });
  const lift = useAction((one: Ban) => ask('DELETE', `${BANS}/${encodeURIComponent(one.source)}`), { stale: [[BANS]], done: (_, one) => t('telephony.bans.lifted', { source: one.source }) });
  const columns = useMemo<Column<Ban>[]>(
    () => [
      { id: 'source', header: t('telephony.bans.source'), title: true, sort: (one) => one.source, cell: (one) => <Main mono>{one.source}</Main> },
      { id: 'why', header: t('telephony.bans.why'), sort: (one) => one.tries, cell: (one) => t('telephony.bans.tries', { count: one.tries, number: number(one.tries) }) },
      {
        id: 'until',
        header: t('telephony.bans.until'),
        right: true,
        sort: (one) => one.until,
        cell: (one) => (
          <Lines right>
            <time dateTime={one.until} title={fullDateTime(one.until)}>
              {time(one.until)}
            </time>
            <Small>{t('telephony.bans.left', { time: duration(one.seconds_left) })}</Small>
          </Lines>
        ),
      },
    ],
    [t],
  );
  const liftNow = lift.mutate;
  const more = useCallback(
    (one: Ban) => (
      <Button size="xs" variant="default" leftSection={<IconLockOpen size={14} />} aria-label={t('telephony.bans.liftOne', { source: one.source })} onClick={() => liftNow(one)}>
        {t('telephony.bans.lift')}
      </Button>
    ),
    [liftNow, t],
  );
  return (
    <EntityPage
      title={t('telephony.bans.title')}
      intro={t('telephony.bans.intro')}
      query={list}
      columns={columns}
      rowId={sourceOf}
      nameOf={sourceOf}
      icon={IconShieldCheck}
      emptyTitle={t('telephony.bans.emptyTitle')}
      emptyHint={t('telephony.bans.empty')}
      more={may('admin') ? more : undefined}
    />
  );
}

const sourceOf = (one: Ban) => one.source;
