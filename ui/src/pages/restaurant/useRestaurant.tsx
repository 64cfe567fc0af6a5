// The restaurant that the pages speak of: one is taken as it is, of several one is chosen and remembered.
import { Select } from '@mantine/core';
import { IconToolsKitchen2 } from '@tabler/icons-react';
import { useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { useRestaurants, type Restaurant } from '../../api/restaurant';
import { Answered, Empty, Page } from '../../parts/Page';

const KEY = 'allo.restaurant';

/** Gives its children the chosen restaurant, and a picker where there are several. */
export function WithRestaurant({ title, children }: { title: string; children: (house: Restaurant, picker: ReactNode) => ReactNode }) {
  const { t } = useTranslation();
  const list = useRestaurants();
  const [chosen, setChosen] = useState(() => localStorage.getItem(KEY) ?? '');
  if (!list.data || list.data.length === 0) {
    return (
      <Page title={title}>
        <Answered query={list} empty={<Empty icon={IconToolsKitchen2} title={t('restaurant.none')}>{t('restaurant.noneHint')}</Empty>}>
          {() => null}
        </Answered>
      </Page>
    );
  }
  const house = list.data.find((one) => one.id === chosen) ?? list.data[0];
  if (!house) return null;
  const picker =
    list.data.length > 1 ? (
      <Select
        w={220}
        aria-label={t('restaurant.choose')}
        data={list.data.map((one) => ({ value: one.id, label: one.name }))}
        value={house.id}
        allowDeselect={false}
        searchable
        onChange={(value) => {
          if (!value) return;
          localStorage.setItem(KEY, value);
          setChosen(value);
        }}
      />
    ) : null;
  return <>{children(house, picker)}</>;
}
