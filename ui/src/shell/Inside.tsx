// Everything behind the log-in: the frame, the menu by role, the keyboard.
import { AppShell, Box, Burger, Button, Group, Menu, NavLink, ScrollArea, Select, Text, UnstyledButton, Alert } from '@mantine/core';
import { useDisclosure, useHotkeys } from '@mantine/hooks';
import { modals } from '@mantine/modals';
import { spotlight } from '@mantine/spotlight';
import { IconHelpCircle, IconLogout, IconSearch, IconUserCircle } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { Link, Outlet, useLocation, useNavigate, useRouter } from '@tanstack/react-router';
import { lazy, Suspense, useEffect, useMemo, useRef } from 'react';
import { useTranslation } from 'react-i18next';
import { onLoggedOut } from '../api/client';
import { LiveProvider, useLiveState, useNow } from '../api/live';
import { useRestaurants } from '../api/restaurant';
import { ME_KEY, SessionProvider, useMe, useSession } from '../api/session';
import { ErrorNote, Loading } from '../parts/Page';
import { Brand } from './Brand';
import { Keys, singleKeysOn } from './Keys';
import { NAV, type NavGroup } from './nav';
import { LanguageSwitch, SchemeSwitch } from './Switches';

const Palette = lazy(() => import('./Palette').then((module) => ({ default: module.Palette })));

export function Inside() {
  const me = useMe();
  const router = useRouter();
  const queries = useQueryClient();
  const nobody = me.data === null;
  // Once, from where it was found out: the log-in's own page comes a moment later.
  useEffect(() => {
    if (nobody) router.history.replace(`/admin/login?from=${encodeURIComponent(window.location.pathname.replace(/^\/admin/, ''))}`);
  }, [nobody, router]);
  useEffect(() => onLoggedOut(() => queries.setQueryData(ME_KEY, null)), [queries]);
  if (me.error && me.data === undefined) {
    return (
      <Box p="xl">
        <ErrorNote error={me.error} retry={() => void me.refetch()} />
      </Box>
    );
  }
  if (me.data === undefined) return <Loading />;
  if (me.data === null) return <Loading />;
  return (
    <SessionProvider me={me.data}>
      <WithLive />
    </SessionProvider>
  );
}

function WithLive() {
  const { accountId } = useSession();
  return (
    <LiveProvider accountId={accountId}>
      <Frame />
    </LiveProvider>
  );
}

export function useMenu(): NavGroup[] {
  const { may, isNode } = useSession();
  const restaurants = useRestaurants();
  const withRestaurants = (restaurants.data?.length ?? 0) > 0;
  return useMemo(
    () =>
      NAV.filter((group) => !group.restaurant || withRestaurants)
        .map((group) => ({ ...group, items: group.items.filter((item) => (!item.role || may(item.role)) && (!item.node || isNode)) }))
        .filter((group) => group.items.length > 0),
    [may, isNode, withRestaurants],
  );
}

function Frame() {
  const { t } = useTranslation();
  const { me, isNode, accountId, accounts, chooseAccount, logout } = useSession();
  const [opened, { toggle, close }] = useDisclosure();
  const location = useLocation();
  const navigate = useNavigate();
  const menu = useMenu();
  const main = useRef<HTMLElement>(null);
  const waiting = useRef<number>(0);

  // A new page is announced and begins at its top.
  const shown = useRef(location.pathname);
  useEffect(() => {
    close();
    // The first page leaves the focus where a browser begins: before the way to the content.
    if (shown.current !== location.pathname) main.current?.focus({ preventScroll: true });
    shown.current = location.pathname;
  }, [location.pathname, close]);

  // From a field as well: it is no letter that somebody types.
  useHotkeys([['mod+K', () => spotlight.open()]], []);
  useHotkeys([
    ['shift+?', () => singleKeysOn() && openKeys()],
    [
      'g',
      () => {
        if (singleKeysOn()) waiting.current = Date.now();
      },
    ],
    ...menu.flatMap((group) =>
      group.items
        .filter((item) => item.letter)
        .map((item): [string, () => void] => [
          item.letter ?? '',
          () => {
            if (Date.now() - waiting.current < 1500) {
              waiting.current = 0;
              void navigate({ to: item.to });
            }
          },
        ]),
    ),
  ]);
  const openKeys = () => modals.open({ title: t('common.keys.title'), children: <Keys menu={menu} /> });

  return (
    <AppShell header={{ height: 56 }} navbar={{ width: 240, breakpoint: 'md', collapsed: { mobile: !opened } }} padding={{ base: 'md', sm: 'lg' }}>
      <a href="#main" className="skip">
        {t('common.skip')}
      </a>
      <AppShell.Header px="md">
        <Group h="100%" justify="space-between" wrap="nowrap">
          <Group wrap="nowrap" gap="sm">
            <Burger opened={opened} onClick={toggle} hiddenFrom="md" size="sm" aria-label={t('common.menu')} aria-expanded={opened} />
            <Brand />
            {isNode && accounts.length > 0 && (
              <Select
                visibleFrom="sm"
                size="xs"
                w={220}
                aria-label={t('common.account')}
                placeholder={t('common.allAccounts')}
                clearable
                searchable
                data={accounts.map((account) => ({ value: account.id, label: account.name }))}
                value={accountId ?? null}
                onChange={(value) => chooseAccount(value ?? undefined)}
                clearButtonProps={{ 'aria-label': t('common.allAccounts') }}
              />
            )}
          </Group>
          <Group wrap="nowrap" gap={4}>
            <Button variant="default" size="xs" c="dimmed" leftSection={<IconSearch size={15} />} onClick={() => spotlight.open()} visibleFrom="sm" rightSection={<Text size="xs" span>Ctrl K</Text>}>
              {t('common.search')}
            </Button>
            <Box visibleFrom="sm">
              <LanguageSwitch />
            </Box>
            <SchemeSwitch />
            <Menu position="bottom-end" width={240}>
              <Menu.Target>
                <UnstyledButton aria-label={`${me.name} – ${t('common.userMenu')}`} p={6}>
                  <Group gap={6} wrap="nowrap">
                    <IconUserCircle size={24} stroke={1.6} />
                    <Text size="sm" visibleFrom="lg" maw={160} truncate>
                      {me.name}
                    </Text>
                  </Group>
                </UnstyledButton>
              </Menu.Target>
              <Menu.Dropdown>
                <Menu.Label>
                  {me.name} · {t(`common.roles.${me.role}`)}
                </Menu.Label>
                <Menu.Item leftSection={<IconHelpCircle size={16} />} onClick={openKeys}>
                  {t('common.keys.title')}
                </Menu.Item>
                <Box hiddenFrom="sm" px="xs">
                  <LanguageSwitch />
                </Box>
                <Menu.Divider />
                <Menu.Item leftSection={<IconLogout size={16} />} onClick={() => void logout()}>
                  {t('common.logout')}
                </Menu.Item>
              </Menu.Dropdown>
            </Menu>
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar aria-label={t('common.menu')}>
        <ScrollArea p="xs" pt={0}>
          {isNode && accounts.length > 0 && (
            <Select
              hiddenFrom="sm"
              mt="sm"
              aria-label={t('common.account')}
              placeholder={t('common.allAccounts')}
              clearable
              data={accounts.map((account) => ({ value: account.id, label: account.name }))}
              value={accountId ?? null}
              onChange={(value) => chooseAccount(value ?? undefined)}
              clearButtonProps={{ 'aria-label': t('common.allAccounts') }}
            />
          )}
          {menu.map((group) => (
            <Box key={group.key} component="section" aria-label={t(`common.groups.${group.key}` as 'common.groups.operate')}>
              <div className="nav-group">{t(`common.groups.${group.key}` as 'common.groups.operate')}</div>
              {group.items.map((item) => {
                const active = location.pathname === item.to || location.pathname.startsWith(`${item.to}/`);
                return (
                  <NavLink
                    key={item.to}
                    component={Link}
                    to={item.to}
                    active={active}
                    aria-current={active ? 'page' : undefined}
                    label={t(`common.nav.${item.key}` as 'common.nav.live')}
                    leftSection={<item.icon size={18} stroke={1.7} aria-hidden />}
                    py={7}
                    bdrs="md"
                  />
                );
              })}
            </Box>
          ))}
        </ScrollArea>
      </AppShell.Navbar>
      <AppShell.Main id="main" ref={main} tabIndex={-1}>
        <Frozen />
        <Suspense fallback={<Loading />}>
          <Outlet />
        </Suspense>
      </AppShell.Main>
      <Suspense>
        <Palette menu={menu} />
      </Suspense>
    </AppShell>
  );
}

/** Said once the live stream is silent for five seconds: what is shown may be old. */
function Frozen() {
  const { t } = useTranslation();
  const since = useLiveState();
  const now = useNow();
  if (since === null || now - since < 5000) return null;
  return (
    <Alert color="orange" mb="md" role="status">
      {t('common.frozen', { seconds: Math.round((now - since) / 1000) })}
    </Alert>
  );
}
