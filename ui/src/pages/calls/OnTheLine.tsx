// The hand on a call by voice: join it, take it over, park its caller, take a parked one, give it back, leave.
import { Alert, Badge, Box, Button, Group, Progress, Stack, Text, TextInput } from '@mantine/core';
import { IconArrowBackUp, IconDoorExit, IconHandStop, IconParking, IconPhoneIncoming, IconMicrophone, IconMicrophoneOff, IconUserPlus, IconUsers } from '@tabler/icons-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, type Schemas } from '../../api/client';
import { useAction } from '../../parts/actions';
import { ErrorNote } from '../../parts/Page';
import { Parked } from './Parked';
import type { OnTheLine as Line } from './useOnTheLine';

export function OnTheLine({ call, line }: { call: Schemas['LiveView']; line: Line }) {
  const { t } = useTranslation();
  const [note, setNote] = useState('');
  const { id, person, parked } = call;
  const here = line.id === id;
  const stale = { stale: [['/api/calls/live']] };
  const takeOver = useAction(() => ask('POST', `/api/calls/${id}/take-over`), stale);
  const handBack = useAction((body: { note?: string; stay?: boolean }) => ask('POST', `/api/calls/${id}/hand-back`, body), { ...stale, done: t('calls.line.handedBack') });
  const park = useAction((body: { note?: string }) => ask('POST', `/api/calls/${id}/park`, body), stale);
  // A connection that is just opened is on the line a moment later.
  const seat = person?.seat;
  const give = (stay: boolean) => handBack.mutate({ note: note.trim() || undefined, stay }, { onSuccess: () => setNote('') });

  return (
    <Stack gap="xs" role="group" aria-label={t('calls.line.title')}>
      {line.failed ? <ErrorNote error={line.failed} /> : null}
      {line.closed === id && (
        <Alert color="orange" role="status">
          {t('calls.line.closed')}
        </Alert>
      )}
      {parked && !here && (
        <Group gap="xs">
          <Parked parked={parked} />
          <Text size="xs" c="dimmed">
            {t('calls.parked.hint')}
          </Text>
          <Button leftSection={<IconPhoneIncoming size={16} />} loading={line.joining === id} disabled={line.id !== null} onClick={() => void line.retrieve(id)}>
            {t('calls.parked.retrieve')}
          </Button>
          <Button variant="default" leftSection={<IconArrowBackUp size={16} />} loading={handBack.isPending} onClick={() => give(false)}>
            {t('calls.line.handBack')}
          </Button>
        </Group>
      )}
      {person && !here && (
        <Group gap="xs">
          <Badge color="allo" leftSection={<IconUsers size={12} />}>
            {t(`calls.line.${person.seat}`, { name: person.name })}
          </Badge>
        </Group>
      )}
      {!person && !here && !parked && (
        <Group gap="xs">
          <Button variant="default" leftSection={<IconUserPlus size={16} />} loading={line.joining === id} disabled={call.state !== 'answered' || line.id !== null} onClick={() => void line.join(id, 'beside')}>
            {t('calls.line.join')}
          </Button>
          <Button variant="default" leftSection={<IconHandStop size={16} />} loading={line.joining === id} disabled={call.state !== 'answered' || line.id !== null} onClick={() => void line.join(id, 'instead')}>
            {t('calls.line.takeOver')}
          </Button>
        </Group>
      )}
      {here && (
        <>
          <Group gap="xs">
            <Badge color={seat ? 'allo' : 'gray'} role="status">
              {seat === 'instead' ? t('calls.line.youInstead') : seat === 'beside' ? t('calls.line.youBeside') : t('calls.line.connecting')}
            </Badge>
            <Box flex={1}>
              <Progress value={line.muted ? 0 : Math.min(100, line.level * 160)} aria-label={t('calls.line.level')} />
            </Box>
          </Group>
          <Group gap="xs">
            <Button variant="default" leftSection={line.muted ? <IconMicrophoneOff size={16} /> : <IconMicrophone size={16} />} onClick={line.mute} aria-pressed={line.muted}>
              {line.muted ? t('calls.line.unmute') : t('calls.line.mute')}
            </Button>
            {seat === 'beside' && (
              <Button variant="default" leftSection={<IconHandStop size={16} />} loading={takeOver.isPending} onClick={() => takeOver.mutate(undefined)}>
                {t('calls.line.takeOver')}
              </Button>
            )}
            <Button variant="default" color="red" leftSection={<IconDoorExit size={16} />} onClick={line.leave}>
              {t('calls.line.leave')}
            </Button>
          </Group>
        </>
      )}
      {seat === 'instead' && (
        <Stack gap="xs">
          <TextInput label={t('calls.line.note')} description={t('calls.line.noteHint')} value={note} onChange={(event) => setNote(event.currentTarget.value)} maxLength={2000} />
          <Group gap="xs">
            <Button leftSection={<IconArrowBackUp size={16} />} loading={handBack.isPending} onClick={() => give(false)}>
              {t('calls.line.handBack')}
            </Button>
            <Button variant="default" leftSection={<IconUsers size={16} />} loading={handBack.isPending} onClick={() => give(true)}>
              {t('calls.line.stay')}
            </Button>
            <Button variant="default" leftSection={<IconParking size={16} />} loading={park.isPending} onClick={() => park.mutate({ note: note.trim() || undefined }, { onSuccess: () => setNote('') })}>
              {t('calls.parked.park')}
            </Button>
          </Group>
        </Stack>
      )}
      {!person && !here && !parked && (
        <Text size="xs" c="dimmed">
          {t('calls.line.hint')}
        </Text>
      )}
    </Stack>
  );
}
