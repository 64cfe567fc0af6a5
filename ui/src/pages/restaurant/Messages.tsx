// What callers left to be told: unread first, urgent before.
import { Badge, Button, Card, Group, SegmentedControl, Stack, Text } from '@mantine/core';
import { IconCheck, IconMessage2, IconPhone, IconTrash } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { back, useBack, useHappenings, type Restaurant } from '../../api/restaurant';
import { useSession } from '../../api/session';
import { IconButton, useAction } from '../../parts/actions';
import { dateTime, phone } from '../../parts/format';
import { Answered, Empty, Page } from '../../parts/Page';
import { useUrlState } from '../../parts/useUrlState';
import { WithRestaurant } from './useRestaurant';

interface Message {
  id: string;
  callId?: string | null;
  callerPhone?: string | null;
  callerName?: string | null;
  category: string;
  content: string;
  isUrgent: boolean;
  isRead: boolean;
  createdAt: string;
}

export function Messages() {
  const { t } = useTranslation();
  return <WithRestaurant title={t('restaurant.messages.title')}>{(house, picker) => <Inbox key={house.id} house={house} picker={picker} />}</WithRestaurant>;
}

function Inbox({ house, picker }: { house: Restaurant; picker: React.ReactNode }) {
  const { t } = useTranslation();
  const { may } = useSession();
  const [which, setWhich] = useUrlState('which', 'unread');
  const list = useBack<Message[]>('/messages', { restaurantId: house.id, unreadOnly: which === 'unread' ? true : undefined });
  useHappenings(house.id, () => undefined);
  const stale = [['back', '/messages']];
  const read = useAction(({ id, isRead }: { id: string; isRead: boolean }) => back.patch('/messages', { id, isRead }), { stale });
  const remove = useAction((id: string) => back.remove('/messages', { id }), { stale, done: t('restaurant.messages.removed') });
  const mayWork = may('operator');
  return (
    <Page title={t('restaurant.messages.title')} intro={t('restaurant.messages.intro')} actions={picker}>
      <SegmentedControl mb="md" value={which} onChange={setWhich} aria-label={t('restaurant.messages.which')} data={[{ value: 'unread', label: t('restaurant.messages.unread') }, { value: 'all', label: t('restaurant.messages.all') }]} />
      <Answered query={list} empty={<Empty icon={IconMessage2} title={which === 'unread' ? t('restaurant.messages.noneUnread') : t('restaurant.messages.none')} />}>
        {(all) => (
          <Stack>
            {[...all]
              .sort((a, b) => Number(b.isUrgent && !b.isRead) - Number(a.isUrgent && !a.isRead) || b.createdAt.localeCompare(a.createdAt))
              .map((one) => (
                <Card key={one.id} withBorder radius="md" padding="md">
                  <Group justify="space-between" wrap="nowrap" align="flex-start">
                    <div>
                      <Group gap={6} mb={4}>
                        <Text fw={650}>{one.callerName ?? phone(one.callerPhone)}</Text>
                        {one.isUrgent && <Badge color="red">{t('restaurant.messages.urgent')}</Badge>}
                        {!one.isRead && <Badge color="allo">{t('restaurant.messages.new')}</Badge>}
                        <Badge color="gray">{t(`restaurant.messageKinds.${one.category}` as 'restaurant.messageKinds.other', { defaultValue: one.category })}</Badge>
                        <Text size="xs" c="dimmed">
                          {dateTime(one.createdAt, house.timezone)}
                        </Text>
                      </Group>
                      <Text>{one.content}</Text>
                    </div>
                    {mayWork && <IconButton label={t('common.remove')} icon={IconTrash} onClick={() => remove.mutate(one.id)} />}
                  </Group>
                  <Group mt="sm" gap="xs">
                    {mayWork && (
                      <Button size="xs" variant={one.isRead ? 'subtle' : 'filled'} leftSection={<IconCheck size={14} />} onClick={() => read.mutate({ id: one.id, isRead: !one.isRead })}>
                        {one.isRead ? t('restaurant.messages.markUnread') : t('restaurant.messages.markRead')}
                      </Button>
                    )}
                    {one.callerPhone && (
                      <Button size="xs" variant="default" component="a" href={`tel:${one.callerPhone}`} leftSection={<IconPhone size={14} />}>
                        {phone(one.callerPhone)}
                      </Button>
                    )}
                    {one.callId && (
                      <Button size="xs" variant="subtle" component={Link} to={`/calls/${one.callId}`}>
                        {t('restaurant.service.listen')}
                      </Button>
                    )}
                  </Group>
                </Card>
              ))}
          </Stack>
        )}
      </Answered>
    </Page>
  );
}
