// Every address of the interface. A page's code comes when it is opened.
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Outlet, redirect } from '@tanstack/react-router';
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

const page = <P extends string>(path: P, load: () => Promise<Record<string, unknown>>, name: string) =>
  createRoute({
    getParentRoute: () => inside,
    path,
    component: lazyRouteComponent(load as () => Promise<Record<string, never>>, name as never),
    pendingComponent: Loading,
  });

export const routeTree = root.addChildren([
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
    page('/agents', () => import('./pages/agents/Agents'), 'Agents'),
    page('/agents/$agentId', () => import('./pages/agents/AgentPage'), 'AgentPage'),
    page('/workflows', () => import('./pages/agents/Workflows'), 'Workflows'),
    page('/faq', () => import('./pages/agents/Faq'), 'Faq'),
    page('/blocked', () => import('./pages/agents/Blocked'), 'BlockedNumbers'),
    page('/service', () => import('./pages/restaurant/Service'), 'Service'),
    page('/reservations', () => import('./pages/restaurant/Reservations'), 'Reservations'),
    page('/menu', () => import('./pages/restaurant/MenuEditor'), 'MenuEditor'),
    page('/hours', () => import('./pages/restaurant/Hours'), 'Hours'),
    page('/customers', () => import('./pages/restaurant/Customers'), 'Customers'),
    page('/messages', () => import('./pages/restaurant/Messages'), 'Messages'),
    page('/statistics', () => import('./pages/restaurant/Statistics'), 'Statistics'),
    page('/restaurant-settings', () => import('./pages/restaurant/Settings'), 'RestaurantSettings'),
    page('/start', () => import('./pages/admin/Start'), 'Start'),
    page('/accounts', () => import('./pages/admin/Accounts'), 'Accounts'),
    page('/users', () => import('./pages/admin/Users'), 'Users'),
    page('/keys', () => import('./pages/admin/Keys'), 'Keys'),
    page('/webhooks', () => import('./pages/admin/Webhooks'), 'Webhooks'),
    page('/audit', () => import('./pages/admin/Audit'), 'Audit'),
    page('/billing', () => import('./pages/admin/Billing'), 'Billing'),
    page('/health', () => import('./pages/admin/Health'), 'HealthPage'),
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
