// Everything behind the log-in: the frame, the menu by role, the keyboard.
import { Alert, AppShell, Box, Burger, Button, Group, NavLink, Text } from '@mantine/core';
import { useDisclosure, useHotkeys } from '@mantine/hooks';
import { IconSearch } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { Link, Outlet, useLocation, useNavigate, useRouter } from '@tanstack/react-router';
import { lazy, memo, Suspense, useEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { onLoggedOut } from '../api/client';
import { LiveProvider, useLiveState, useNow } from '../api/live';
import { useRestaurants } from '../api/restaurant';
import { ME_KEY, SessionProvider, useMe, useSession } from '../api/session';
import { ErrorNote, Loading } from '../parts/Page';
import { Brand } from './Brand';
import { NAV, type NavGroup } from './nav';
import { bringBy, overlays } from './overlays';
import { singleKeysOn } from './singleKeys';
import { LanguageSwitch, SchemeSwitch } from './Switches';
import { UserButton } from './UserButton';

const Overlays = lazy(() => import('./Overlays').then((module) => ({ default: module.Overlays })));
const AccountSelect = lazy(() => import('./AccountSelect').then((module) => ({ default: module.AccountSelect })));
const UserMenu = lazy(() => import('./UserMenu').then((module) => ({ default: module.UserMenu })));

/** What no first page needs comes so long after it, unless a hand wants it before. */
const LATER_MS = 1_500;

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

function useMenu(): NavGroup[] {
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
  const { isNode, accounts } = useSession();
  const [opened, { toggle, close }] = useDisclosure();
  // Only where: a filter that changes in the address draws its page anew, not the frame.
  const pathname = useLocation({ select: (location) => location.pathname });
  const navigate = useNavigate();
  const menu = useMenu();
  const main = useRef<HTMLElement>(null);
  const waiting = useRef<number>(0);
  const [later, setLater] = useState(false);
  const [menuWanted, setMenuWanted] = useState(false);
  useEffect(() => {
    bringBy(() => setLater(true));
    const timer = setTimeout(() => setLater(true), LATER_MS);
    return () => clearTimeout(timer);
  }, []);

  // A new page is announced and begins at its top.
  const shown = useRef(pathname);
  useEffect(() => {
    close();
    // The first page leaves the focus where a browser begins: before the way to the content.
    if (shown.current !== pathname) main.current?.focus({ preventScroll: true });
    shown.current = pathname;
  }, [pathname, close]);

  // From a field as well: it is no letter that somebody types.
  useHotkeys([['mod+K', search]], []);
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
              <Box visibleFrom="sm" w={220}>
                <Suspense>
                  <AccountSelect size="xs" />
                </Suspense>
              </Box>
            )}
          </Group>
          <Group wrap="nowrap" gap={4}>
            <Button variant="default" size="xs" c="dimmed" leftSection={<IconSearch size={15} />} onClick={search} visibleFrom="sm" rightSection={<Text size="xs" span>Ctrl K</Text>}>
              {t('common.search')}
            </Button>
            <Box visibleFrom="sm">
              <LanguageSwitch />
            </Box>
            <SchemeSwitch />
            {later || menuWanted ? (
              <Suspense fallback={<UserButton onClick={() => setMenuWanted(true)} />}>
                <UserMenu opened={menuWanted} openKeys={openKeys} />
              </Suspense>
            ) : (
              <UserButton onClick={() => setMenuWanted(true)} aria-haspopup="menu" />
            )}
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar aria-label={t('common.menu')}>
        <Side menu={menu} pathname={pathname} />
      </AppShell.Navbar>
      <AppShell.Main id="main" ref={main} tabIndex={-1}>
        <Frozen />
        <Suspense fallback={<Loading />}>
          <Outlet />
        </Suspense>
      </AppShell.Main>
      {later && (
        <Suspense>
          <Overlays menu={menu} />
        </Suspense>
      )}
    </AppShell>
  );
}

const search = () => void overlays().then(({ spotlight }) => spotlight.open());
const openKeys = () => void overlays().then((module) => module.openKeys());

/** The menu: drawn anew when the page or the role changes, not with each filter. */
const Side = memo(function Side({ menu, pathname }: { menu: NavGroup[]; pathname: string }) {
  const { t } = useTranslation();
  const { isNode, accounts } = useSession();
  return (
    <div className="nav-scroll">
      {isNode && accounts.length > 0 && (
        <Box hiddenFrom="sm" mt="sm">
          <Suspense>
            <AccountSelect />
          </Suspense>
        </Box>
      )}
      {menu.map((group) => (
        <Box key={group.key} component="section" aria-label={t(`common.groups.${group.key}` as 'common.groups.operate')}>
          <div className="nav-group">{t(`common.groups.${group.key}` as 'common.groups.operate')}</div>
          {group.items.map((item) => {
            const active = pathname === item.to || pathname.startsWith(`${item.to}/`);
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
    </div>
  );
});

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
