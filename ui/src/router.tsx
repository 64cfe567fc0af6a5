// Every address of the interface. A page's code comes when it is opened.
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Outlet, redirect } from '@tanstack/react-router';
import { needTexts, type Part } from './i18n';
import { Loading } from './parts/Page';
import { Crashed, NotFound } from './shell/Fallbacks';
import { Inside } from './shell/Inside';

const root = createRootRoute({ component: Outlet, notFoundComponent: NotFound, errorComponent: Crashed });

const login = createRoute({ getParentRoute: () => root, path: '/login', component: lazyRouteComponent(() => import('./shell/Login'), 'Login') });
const setup = createRoute({ getParentRoute: () => root, path: '/setup', component: lazyRouteComponent(() => import('./shell/Setup'), 'Setup') });
const shared = createRoute({ getParentRoute: () => root, path: '/shared', component: lazyRouteComponent(() => import('./pages/calls/Shared'), 'Shared') });
const inside = createRoute({ getParentRoute: () => root, id: 'inside', component: Inside });

const home = createRoute({
  getParentRoute: () => inside,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/live' });
  },
});

/** Which words the pages of a folder need beside those that are always there. */
const AGENTS: readonly Part[] = ['agents'];
const RESTAURANT: readonly Part[] = ['restaurant', 'agents'];
const ADMIN: readonly Part[] = ['admin', 'agents', 'restaurant'];

const page = <P extends string>(path: P, load: () => Promise<Record<string, unknown>>, name: string, texts: readonly Part[] = []) =>
  createRoute({
    getParentRoute: () => inside,
    path,
    component: lazyRouteComponent(() => Promise.all([load(), needTexts(texts)]).then(([module]) => module as Record<string, never>), name as never),
    pendingComponent: Loading,
  });

const routeTree = root.addChildren([
  login,
  setup,
  shared,
  inside.addChildren([
    home,
    page('/live', () => import('./pages/calls/Live'), 'Live'),
    page('/calls', () => import('./pages/calls/History'), 'History'),
    page('/calls/$callId', () => import('./pages/calls/CallPage'), 'CallPage'),
    page('/servers', () => import('./pages/telephony/Servers'), 'Servers'),
    page('/sip-accounts', () => import('./pages/telephony/SipAccounts'), 'SipAccounts'),
    page('/devices', () => import('./pages/telephony/Devices'), 'Devices'),
    page('/bans', () => import('./pages/telephony/Bans'), 'Bans'),
    page('/agents', () => import('./pages/agents/Agents'), 'Agents', AGENTS),
    page('/agents/$agentId', () => import('./pages/agents/AgentPage'), 'AgentPage', AGENTS),
    page('/workflows', () => import('./pages/agents/Workflows'), 'Workflows', AGENTS),
    page('/faq', () => import('./pages/agents/Faq'), 'Faq', AGENTS),
    page('/blocked', () => import('./pages/agents/Blocked'), 'BlockedNumbers', AGENTS),
    page('/service', () => import('./pages/restaurant/Service'), 'Service', RESTAURANT),
    page('/reservations', () => import('./pages/restaurant/Reservations'), 'Reservations', RESTAURANT),
    page('/menu', () => import('./pages/restaurant/MenuEditor'), 'MenuEditor', RESTAURANT),
    page('/hours', () => import('./pages/restaurant/Hours'), 'Hours', RESTAURANT),
    page('/customers', () => import('./pages/restaurant/Customers'), 'Customers', RESTAURANT),
    page('/messages', () => import('./pages/restaurant/Messages'), 'Messages', RESTAURANT),
    page('/statistics', () => import('./pages/restaurant/Statistics'), 'Statistics', RESTAURANT),
    page('/restaurant-settings', () => import('./pages/restaurant/Settings'), 'RestaurantSettings', RESTAURANT),
    page('/start', () => import('./pages/admin/Start'), 'Start', ADMIN),
    page('/accounts', () => import('./pages/admin/Accounts'), 'Accounts', ADMIN),
    page('/users', () => import('./pages/admin/Users'), 'Users', ADMIN),
    page('/keys', () => import('./pages/admin/Keys'), 'Keys', ADMIN),
    page('/webhooks', () => import('./pages/admin/Webhooks'), 'Webhooks', ADMIN),
    page('/audit', () => import('./pages/admin/Audit'), 'Audit', ADMIN),
    page('/billing', () => import('./pages/admin/Billing'), 'Billing', ADMIN),
    page('/health', () => import('./pages/admin/Health'), 'HealthPage', ADMIN),
  ]),
]);

export const router = createRouter({
  routeTree,
  basepath: '/admin',
  // Filters stand in the address as they are typed: `?party=3998`, without quotes around what looks like a number.
  parseSearch: (text) => Object.fromEntries(new URLSearchParams(text)),
  stringifySearch: (search) => {
    const kept = Object.entries(search).filter(([, value]) => value !== undefined && value !== null && value !== '');
    const text = new URLSearchParams(kept.map(([name, value]): [string, string] => [name, String(value)])).toString();
    return text ? `?${text}` : '';
  },
  defaultPreload: 'intent',
  scrollRestoration: true,
  defaultErrorComponent: Crashed,
  defaultNotFoundComponent: NotFound,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
