// What the menu shows, to whom, and by which letter it is reached.
import {
  IconActivityHeartbeat, IconBuildingStore, IconCoins, IconKey, IconRocket, IconShieldLock, IconUsers, IconWebhook,
  IconAddressBook, IconCalendarEvent, IconDeviceLandlinePhone, IconShieldX, IconChartBar, IconClockHour4, IconHistory, IconMessage2, IconMessageQuestion, IconPhoneCall, IconPhoneOff, IconPlugConnected, IconRobot, IconRoute,
  IconServer2, IconSettings, IconToolsKitchen2, IconBook2, type Icon,
} from '@tabler/icons-react';
import type { Role } from '../api/session';

interface NavItem {
  to: string;
  /** Key under `common.nav`. */
  key: string;
  icon: Icon;
  role?: Role;
  /** Only for the operator of the node. */
  node?: boolean;
  /** Reached by `g` and this letter. */
  letter?: string;
}

export interface NavGroup {
  key: string;
  restaurant?: boolean;
  items: NavItem[];
}

export const NAV: NavGroup[] = [
  {
    key: 'operate',
    items: [
      { to: '/live', key: 'live', icon: IconPhoneCall, letter: 'l' },
      { to: '/calls', key: 'calls', icon: IconHistory, letter: 'c' },
      { to: '/servers', key: 'servers', icon: IconServer2, letter: 's' },
      { to: '/sip-accounts', key: 'sipAccounts', icon: IconPlugConnected, letter: 'p' },
      { to: '/devices', key: 'devices', icon: IconDeviceLandlinePhone, letter: 'd' },
      { to: '/bans', key: 'bans', icon: IconShieldX, node: true, letter: 'b' },
    ],
  },
  {
    key: 'design',
    items: [
      { to: '/agents', key: 'agents', icon: IconRobot, letter: 'a' },
      { to: '/workflows', key: 'workflows', icon: IconRoute, letter: 'w' },
      { to: '/faq', key: 'faq', icon: IconMessageQuestion, letter: 'q' },
      { to: '/blocked', key: 'blocked', icon: IconPhoneOff },
    ],
  },
  {
    key: 'restaurant',
    restaurant: true,
    items: [
      { to: '/service', key: 'service', icon: IconToolsKitchen2, letter: 'o' },
      { to: '/reservations', key: 'reservations', icon: IconCalendarEvent, letter: 'r' },
      { to: '/menu', key: 'menu', icon: IconBook2, letter: 'm' },
      { to: '/hours', key: 'hours', icon: IconClockHour4, letter: 'h' },
      { to: '/customers', key: 'customers', icon: IconAddressBook },
      { to: '/messages', key: 'messages', icon: IconMessage2 },
      { to: '/statistics', key: 'statistics', icon: IconChartBar },
      { to: '/restaurant-settings', key: 'settings', icon: IconSettings },
    ],
  },
  {
    key: 'admin',
    items: [
      { to: '/start', key: 'start', icon: IconRocket, role: 'admin' },
      { to: '/accounts', key: 'accounts', icon: IconBuildingStore, node: true },
      { to: '/users', key: 'users', icon: IconUsers, role: 'admin', letter: 'u' },
      { to: '/keys', key: 'apiKeys', icon: IconKey, role: 'admin' },
      { to: '/webhooks', key: 'webhooks', icon: IconWebhook },
      { to: '/audit', key: 'audit', icon: IconShieldLock, role: 'admin' },
      { to: '/billing', key: 'billing', icon: IconCoins },
      { to: '/health', key: 'health', icon: IconActivityHeartbeat },
    ],
  },
];
