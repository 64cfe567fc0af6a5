// Somebody is called into the call: beside the agent, or in its place; how far it is, and calling them off.
import { Badge, Button, Group, SegmentedControl, Stack, Text, TextInput } from '@mantine/core';
import { IconPhoneOff, IconPhoneOutgoing } from '@tabler/icons-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, type Schemas } from '../../api/client';
import { useAction } from '../../parts/actions';

const UNDER_WAY = ['calling', 'ringing', 'answered'];
/** Reasons that have words of their own. */
const REASONS = ['busy', 'no answer', 'refused', 'unreachable', 'no such number', 'called off', 'hung up', 'handed the caller back', 'parked the caller'] as const;

export function Invite({ call }: { call: Schemas['LiveView'] }) {
  const { t } = useTranslation();
  const [to, setTo] = useState('');
  const [name, setName] = useState('');
  const [announcement, setAnnouncement] = useState('');
  const [seat, setSeat] = useState<'beside' | 'instead'>('beside');
  const { id, called, person } = call;
  const stale = { stale: [['/api/calls/live']] };
  const invite = useAction((body: Schemas['Invite']) => ask('POST', `/api/calls/${id}/invite`, body), stale);
  const callOff = useAction(() => ask('DELETE', `/api/calls/${id}/invite`), stale);
  const underWay = called != null && UNDER_WAY.includes(called.state);
  const written = (text: string) => text.trim() || undefined;

  function send() {
    // A number as people write it; an address as it is.
    const plain = to.includes(':') ? to.trim() : to.replace(/[\s().]/g, '');
    invite.mutate({ to: plain, seat, name: written(name), announcement: written(announcement) });
  }
  const reason = REASONS.find((known) => known === called?.reason) ?? 'other';

  return (
    <Stack gap="xs" role="group" aria-label={t('calls.invite.title')}>
      {called && !(called.state === 'joined' && person) && (
        <Group gap="xs">
          <Badge color={underWay ? 'allo' : 'gray'} role="status">
            {called.state === 'over' ? t('calls.invite.over', { name: called.name, reason: t(`calls.invite.reasons.${reason}`) }) : t(`calls.invite.${called.state}` as 'calls.invite.calling', { name: called.name })}
          </Badge>
          {underWay && (
            <Button size="xs" variant="default" color="red" leftSection={<IconPhoneOff size={14} />} loading={callOff.isPending} onClick={() => callOff.mutate(undefined)}>
              {t('calls.invite.callOff')}
            </Button>
          )}
        </Group>
      )}
      {!person && !underWay && (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            send();
          }}
        >
          <Stack gap="xs">
            <TextInput label={t('calls.invite.number')} description={t('calls.invite.hint')} placeholder="+33 1 23 45 67 89" value={to} onChange={(event) => setTo(event.currentTarget.value)} maxLength={128} />
            <SegmentedControl
              aria-label={t('calls.invite.seat')}
              value={seat}
              onChange={(value) => setSeat(value as 'beside' | 'instead')}
              data={[
                { value: 'beside', label: t('calls.invite.beside') },
                { value: 'instead', label: t('calls.invite.instead') },
              ]}
            />
            {to.trim() !== '' && (
              <Group grow align="flex-start">
                <TextInput label={t('calls.invite.name')} description={t('calls.invite.nameHint')} value={name} onChange={(event) => setName(event.currentTarget.value)} maxLength={80} />
                <TextInput label={t('calls.invite.announcement')} description={t('calls.invite.announcementHint')} value={announcement} onChange={(event) => setAnnouncement(event.currentTarget.value)} maxLength={500} />
              </Group>
            )}
            <Group>
              <Button type="submit" size="xs" variant="default" leftSection={<IconPhoneOutgoing size={14} />} disabled={!to.trim() || call.state !== 'answered'} loading={invite.isPending}>
                {t('calls.invite.send')}
              </Button>
              {call.state !== 'answered' && (
                <Text size="xs" c="dimmed">
                  {t('calls.invite.notYet')}
                </Text>
              )}
            </Group>
          </Stack>
        </form>
      )}
    </Stack>
  );
}
