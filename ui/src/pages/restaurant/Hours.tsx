// Opening hours by weekday, and the days that differ.
import { ActionIcon, Alert, Button, Card, Group, SimpleGrid, Stack, Switch, Text, TextInput } from '@mantine/core';
import { IconCopy, IconPlus, IconTrash } from '@tabler/icons-react';
import { useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { back, type Restaurant } from '../../api/restaurant';
import { useSession } from '../../api/session';
import { IconButton, useAction } from '../../parts/actions';
import { day } from '../../parts/format';
import { ErrorNote, Page } from '../../parts/Page';
import { WithRestaurant } from './useRestaurant';

const DAYS = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'] as const;
type Day = (typeof DAYS)[number];

interface Span {
  open: string;
  close: string;
}

interface Exception {
  date: string;
  closed?: boolean;
  reason?: string;
  open?: string;
  close?: string;
  slots?: Span[];
  [more: string]: unknown;
}

type HoursOf = Partial<Record<Day, Span[]>> & { exceptions?: Exception[] };

const TIME = /^([01]\d|2[0-3]):[0-5]\d$/;

export function Hours() {
  const { t } = useTranslation();
  return <WithRestaurant title={t('restaurant.hours.title')}>{(house, picker) => <Week key={house.id + String(house.updatedAt)} house={house} picker={picker} />}</WithRestaurant>;
}

function Week({ house, picker }: { house: Restaurant; picker: ReactNode }) {
  const { t } = useTranslation();
  const { may } = useSession();
  const stored = (house.openingHours ?? null) as HoursOf | null;
  const [hours, setHours] = useState<HoursOf>(stored ?? {});
  const [always, setAlways] = useState(stored === null);
  const [date, setDate] = useState('');
  const mayChange = may('admin');
  const save = useAction((next: HoursOf | null) => back.patch('/restaurants', { id: house.id, openingHours: next }), { stale: [['back']], done: t('restaurant.hours.saved'), quiet: true });
  const set = (name: Day, spans: Span[]) => setHours({ ...hours, [name]: spans });
  const exceptions = [...(hours.exceptions ?? [])].sort((a, b) => a.date.localeCompare(b.date));
  const setExceptions = (next: Exception[]) => setHours({ ...hours, exceptions: next });
  const wrong = DAYS.some((name) => (hours[name] ?? []).some((span) => !TIME.test(span.open) || !TIME.test(span.close) || span.open === span.close));
  const changed = JSON.stringify(always ? null : hours) !== JSON.stringify(stored);

  return (
    <Page title={t('restaurant.hours.title')} intro={t('restaurant.hours.intro', { zone: house.timezone })} actions={picker}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!wrong) save.mutate(always ? null : hours);
        }}
      >
        <fieldset disabled={!mayChange} className="plain-fieldset">
          <Stack>
            {save.error ? <ErrorNote error={save.error} /> : null}
            <Switch label={t('restaurant.hours.always')} description={t('restaurant.hours.alwaysHint')} checked={always} onChange={(event) => setAlways(event.currentTarget.checked)} />
            {!always && (
              <>
                <Stack gap="xs">
                  {DAYS.map((name, index) => {
                    const spans = hours[name] ?? [];
                    return (
                      <Card key={name} withBorder radius="md" padding="xs" component="section" aria-label={t(`restaurant.days.${name}`)}>
                        <Group gap="md" align="center">
                          <Text fw={600} w={90}>
                            {t(`restaurant.days.${name}`)}
                          </Text>
                          {spans.length === 0 && (
                            <Text size="sm" c="dimmed">
                              {t('restaurant.hours.closed')}
                            </Text>
                          )}
                          {spans.map((span, place) => (
                            <Group key={place} gap={4} wrap="nowrap">
                              <TextInput type="time" aria-label={t('restaurant.hours.open')} value={span.open} onChange={(event) => set(name, spans.map((one, at) => (at === place ? { ...one, open: event.currentTarget.value } : one)))} />
                              <Text span>–</Text>
                              <TextInput type="time" aria-label={t('restaurant.hours.close')} value={span.close} onChange={(event) => set(name, spans.map((one, at) => (at === place ? { ...one, close: event.currentTarget.value } : one)))} />
                              {mayChange && (
                                <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t('common.remove')} onClick={() => set(name, spans.filter((_, at) => at !== place))}>
                                  <IconTrash size={16} />
                                </ActionIcon>
                              )}
                            </Group>
                          ))}
                          {mayChange && (
                            <Group gap={4}>
                              <Button size="compact-sm" variant="subtle" leftSection={<IconPlus size={14} />} onClick={() => set(name, [...spans, spans.length === 0 ? { open: '12:00', close: '14:30' } : { open: '19:00', close: '22:30' }])}>
                                {t('restaurant.hours.addSpan')}
                              </Button>
                              {index < 6 && spans.length > 0 && (
                                <IconButton
                                  label={t('restaurant.hours.copyDown', { day: t(`restaurant.days.${name}`) })}
                                  icon={IconCopy}
                                  onClick={() => setHours({ ...hours, ...Object.fromEntries(DAYS.slice(index + 1).map((later) => [later, spans.map((span) => ({ ...span }))])) })}
                                />
                              )}
                            </Group>
                          )}
                        </Group>
                      </Card>
                    );
                  })}
                </Stack>
                <Text component="h2" fw={650} mt="md">
                  {t('restaurant.hours.exceptions')}
                </Text>
                <Text size="sm" c="dimmed">
                  {t('restaurant.hours.exceptionsHint')}
                </Text>
                {exceptions.map((one) => {
                  const edit = (change: Partial<Exception>) => setExceptions(exceptions.map((other) => (other === one ? { ...other, ...change } : other)));
                  return (
                    <Card key={one.date} withBorder radius="md" padding="xs">
                      <Group justify="space-between">
                        <Text fw={600}>{day(`${one.date}T12:00`, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' })}</Text>
                        <Group gap="sm">
                          <Switch label={t('restaurant.hours.closed')} checked={Boolean(one.closed)} onChange={(event) => edit(event.currentTarget.checked ? { closed: true, open: undefined, close: undefined } : { closed: false, open: '12:00', close: '14:30' })} />
                          {!one.closed && (
                            <Group gap={4} wrap="nowrap">
                              <TextInput type="time" aria-label={t('restaurant.hours.open')} value={one.open ?? ''} onChange={(event) => edit({ open: event.currentTarget.value })} />
                              <Text span>–</Text>
                              <TextInput type="time" aria-label={t('restaurant.hours.close')} value={one.close ?? ''} onChange={(event) => edit({ close: event.currentTarget.value })} />
                            </Group>
                          )}
                          {mayChange && <IconButton label={t('common.removeOne', { name: one.date })} icon={IconTrash} onClick={() => setExceptions(exceptions.filter((other) => other !== one))} />}
                        </Group>
                      </Group>
                    </Card>
                  );
                })}
                {mayChange && (
                  <SimpleGrid cols={{ base: 1, sm: 2 }}>
                    <Group align="flex-end" wrap="nowrap">
                      <TextInput type="date" label={t('restaurant.hours.otherDay')} value={date} onChange={(event) => setDate(event.currentTarget.value)} flex={1} />
                      <Button
                        variant="default"
                        leftSection={<IconPlus size={16} />}
                        disabled={!date || exceptions.some((one) => one.date === date)}
                        onClick={() => {
                          setExceptions([...exceptions, { date, closed: true }]);
                          setDate('');
                        }}
                      >
                        {t('restaurant.hours.closeThatDay')}
                      </Button>
                    </Group>
                  </SimpleGrid>
                )}
              </>
            )}
            {wrong && !always && <Alert color="red">{t('restaurant.hours.wrong')}</Alert>}
            {mayChange && (
              <Group justify="flex-end" className="save-bar">
                {changed && (
                  <Text size="sm" c="dimmed">
                    {t('agents.editor.unsaved')}
                  </Text>
                )}
                <Button type="submit" disabled={!changed || (wrong && !always)} loading={save.isPending}>
                  {t('common.save')}
                </Button>
              </Group>
            )}
          </Stack>
        </fieldset>
      </form>
    </Page>
  );
}
