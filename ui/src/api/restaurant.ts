// The back office of a restaurant, on the same address under /restaurant/api (docs/restaurant.md).
import { useQuery } from '@tanstack/react-query';
import { useEffect } from 'react';
import { useQueryClient } from '@tanstack/react-query';
import { ask } from './client';

const BASE = '/restaurant/api';

export interface Restaurant {
  id: string;
  name: string;
  timezone: string;
  currency: string;
  isActive: boolean;
  agentId?: string | null;
  [field: string]: unknown;
}

type Query = Record<string, string | number | boolean | undefined>;

function address(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== '') search.set(name, String(value));
  const text = search.toString();
  return `${BASE}${path}${text ? `?${text}` : ''}`;
}

export const back = {
  get: <T>(path: string, query?: Query) => ask<T>('GET', address(path, query)),
  post: <T>(path: string, body: unknown, query?: Query) => ask<T>('POST', address(path, query), body),
  put: <T>(path: string, body: unknown, query?: Query) => ask<T>('PUT', address(path, query), body),
  patch: <T>(path: string, body: unknown) => ask<T>('PATCH', address(path), body),
  remove: <T>(path: string, query?: Query) => ask<T>('DELETE', address(path, query)),
  address,
};

/** The restaurants that the user sees; none where this house has no back office. */
export function useRestaurants() {
  return useQuery({
    queryKey: ['back', 'restaurants'],
    queryFn: async () => {
      try {
        const found = await back.get<Restaurant[] | { restaurants: Restaurant[] }>('/restaurants');
        return Array.isArray(found) ? found : (found.restaurants ?? []);
      } catch (error) {
        if ([404, 403].includes((error as { status?: number }).status ?? 0)) return [];
        throw error;
      }
    },
    staleTime: 60_000,
  });
}

export function useBack<T>(path: string, query: Query, enabled = true) {
  return useQuery({ queryKey: ['back', path, query], queryFn: () => back.get<T>(path, query), enabled });
}

/** What happens in a restaurant, as it happens. */
export function useHappenings(restaurantId: string | undefined, then: (kind: string, data: unknown) => void) {
  const queries = useQueryClient();
  useEffect(() => {
    if (!restaurantId) return undefined;
    const source = new EventSource(address('/events', { restaurantId }));
    const kinds = ['order.created', 'order.updated', 'order.cancelled', 'reservation.created', 'reservation.updated', 'reservation.cancelled', 'message.created', 'call.ended'];
    for (const kind of kinds) {
      source.addEventListener(kind, (event: MessageEvent<string>) => {
        let data: unknown = null;
        try {
          data = JSON.parse(event.data);
        } catch {
          // The kind alone says what to read again.
        }
        void queries.invalidateQueries({ queryKey: ['back'] });
        then(kind, data);
      });
    }
    return () => source.close();
    // eslint-disable-next-line react-hooks/exhaustive-deps -- one stream a restaurant, whoever listens
  }, [restaurantId, queries]);
}
