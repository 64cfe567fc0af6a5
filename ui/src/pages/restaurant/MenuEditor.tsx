// The menu: categories and dishes by drag or keyboard, out of stock in one tap, options, allergens, CSV.
import { ActionIcon, Badge, Button, Card, Checkbox, Drawer, FileButton, Group, NumberInput, Stack, Switch, Text, TextInput } from '@mantine/core';
import { closestCenter, DndContext, KeyboardSensor, PointerSensor, useSensor, useSensors, type DragEndEvent } from '@dnd-kit/core';
import { arrayMove, SortableContext, sortableKeyboardCoordinates, useSortable, verticalListSortingStrategy } from '@dnd-kit/sortable';
import { IconDownload, IconEdit, IconGripVertical, IconPlus, IconToolsKitchen2, IconTrash, IconUpload } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { useState, type CSSProperties, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { commonHeaders } from '../../api/client';
import { back, useBack, type Restaurant } from '../../api/restaurant';
import { useSession } from '../../api/session';
import { confirmed, IconButton, useAction } from '../../parts/actions';
import { money } from '../../parts/format';
import { Answered, Empty, Page } from '../../parts/Page';
import { SpecForm, type FormValues } from '../../parts/SpecForm';
import classes from './Restaurant.module.css';
import { WithRestaurant } from './useRestaurant';

interface Category {
  id: string;
  name: string;
  description?: string | null;
  displayOrder: number;
  isActive: boolean;
}

interface Choice {
  id?: number;
  label: string;
  price: number;
}

interface Option {
  name: string;
  required?: boolean;
  min?: number;
  max?: number;
  choices?: Choice[];
  source?: string;
}

interface Dish {
  id: string;
  categoryId?: string | null;
  name: string;
  description?: string | null;
  price: number;
  options?: Option[] | null;
  allergens?: string[];
  ingredients?: string[];
  isAvailable: boolean;
  displayOrder: number;
}

interface Menu {
  categories: Category[];
  items: Dish[];
  menus: Dish[];
}

const STALE = [['back', '/menu']];

export function MenuEditor() {
  const { t } = useTranslation();
  return <WithRestaurant title={t('restaurant.menu.title')}>{(house, picker) => <Editor key={house.id} house={house} picker={picker} />}</WithRestaurant>;
}

function Editor({ house, picker }: { house: Restaurant; picker: ReactNode }) {
  const { t } = useTranslation();
  const { may } = useSession();
  const queries = useQueryClient();
  const menu = useBack<Menu>('/menu', { restaurantId: house.id });
  const [dish, setDish] = useState<Dish | { categoryId: string } | null>(null);
  const [category, setCategory] = useState<Category | 'new' | null>(null);
  const sensors = useSensors(useSensor(PointerSensor, { activationConstraint: { distance: 6 } }), useSensor(KeyboardSensor, { coordinateGetter: sortableKeyboardCoordinates }));
  const mayChange = may('admin');

  const available = useAction(({ one, on }: { one: Dish; on: boolean }) => back.patch('/menu-items', { id: one.id, isAvailable: on }), {
    stale: STALE,
    done: (_, { one, on }) => (on ? t('restaurant.menu.backIn', { name: one.name }) : t('restaurant.menu.outNow', { name: one.name })),
  });
  const order = useAction(
    async ({ path, rows }: { path: string; rows: { id: string; displayOrder: number }[] }) => {
      for (const row of rows) await back.patch(path, row);
    },
    { stale: STALE },
  );
  const removeDish = useAction((one: Dish) => back.remove('/menu-items', { id: one.id }), { stale: STALE, done: (_, one) => t('restaurant.removed', { name: one.name }) });
  const removeCategory = useAction((one: Category) => back.remove('/categories', { id: one.id }), { stale: STALE, done: (_, one) => t('restaurant.removed', { name: one.name }) });
  const upload = useAction(
    async (file: File) => {
      const response = await fetch(back.address('/menu/csv', { restaurantId: house.id }), { method: 'PUT', credentials: 'same-origin', headers: { ...commonHeaders('PUT'), 'Content-Type': 'text/csv' }, body: await file.text() });
      if (!response.ok) throw await response.json();
    },
    { stale: STALE, done: t('restaurant.menu.imported') },
  );

  /** The new order is shown at once; only rows whose place changed are written. */
  function reorder<T extends { id: string; displayOrder: number }>(path: string, rows: T[], event: DragEndEvent, put: (menu: Menu, rows: T[]) => Menu) {
    const { active, over } = event;
    if (!over || active.id === over.id) return;
    const from = rows.findIndex((row) => row.id === active.id);
    const to = rows.findIndex((row) => row.id === over.id);
    const moved = arrayMove(rows, from, to).map((row, index) => ({ ...row, displayOrder: index + 1 }));
    const changed = moved.filter((row) => rows.find((one) => one.id === row.id)?.displayOrder !== row.displayOrder);
    queries.setQueryData<Menu>(['back', '/menu', { restaurantId: house.id }], (old) => old && put(old, moved));
    order.mutate({ path, rows: changed.map(({ id, displayOrder }) => ({ id, displayOrder })) });
  }

  const byPlace = <T extends { displayOrder: number; name: string }>(rows: T[]) => [...rows].sort((a, b) => a.displayOrder - b.displayOrder || a.name.localeCompare(b.name));
  return (
    <Page
      wide
      title={t('restaurant.menu.title')}
      intro={t('restaurant.menu.intro')}
      actions={
        <>
          {picker}
          <Button component="a" href={back.address('/menu/csv', { restaurantId: house.id })} download="menu.csv" variant="default" leftSection={<IconDownload size={16} />}>
            CSV
          </Button>
          {mayChange && (
            <>
              <FileButton accept="text/csv,.csv" onChange={(file) => file && upload.mutate(file)}>
                {(props) => (
                  <Button {...props} variant="default" leftSection={<IconUpload size={16} />} loading={upload.isPending}>
                    {t('restaurant.menu.import')}
                  </Button>
                )}
              </FileButton>
              <Button leftSection={<IconPlus size={16} />} onClick={() => setCategory('new')}>
                {t('restaurant.menu.addCategory')}
              </Button>
            </>
          )}
        </>
      }
    >
      <Answered query={menu} isEmpty={(all) => all.categories.length === 0 && all.items.length === 0} empty={<Empty icon={IconToolsKitchen2} title={t('restaurant.menu.empty')}>{t('restaurant.menu.emptyHint')}</Empty>}>
        {(all) => {
          const categories = byPlace(all.categories);
          return (
            <DndContext sensors={sensors} collisionDetection={closestCenter} onDragEnd={(event) => reorder('/categories', categories, event, (old, rows) => ({ ...old, categories: rows }))}>
              <SortableContext items={categories.map((one) => one.id)} strategy={verticalListSortingStrategy}>
                <Stack>
                  {categories.map((one) => {
                    const dishes = byPlace(all.items.filter((item) => item.categoryId === one.id));
                    return (
                      <Sortable key={one.id} id={one.id} label={t('restaurant.menu.move', { name: one.name })} disabled={!mayChange}>
                        {(grip, style, ref) => (
                          <Card withBorder radius="md" padding="sm" ref={ref} style={style} component="section" aria-label={one.name}>
                            <Group justify="space-between" mb="xs" wrap="nowrap">
                              <Group gap={4} wrap="nowrap">
                                {grip}
                                <Text component="h2" fw={650}>
                                  {one.name}
                                </Text>
                                {!one.isActive && <Badge color="gray">{t('restaurant.menu.hidden')}</Badge>}
                              </Group>
                              {mayChange && (
                                <Group gap={4} wrap="nowrap">
                                  <Button size="compact-sm" variant="subtle" leftSection={<IconPlus size={14} />} onClick={() => setDish({ categoryId: one.id })}>
                                    {t('restaurant.menu.addDish')}
                                  </Button>
                                  <IconButton label={t('common.editOne', { name: one.name })} icon={IconEdit} onClick={() => setCategory(one)} />
                                  {dishes.length === 0 && <IconButton label={t('common.removeOne', { name: one.name })} icon={IconTrash} onClick={() => removeCategory.mutate(one)} />}
                                </Group>
                              )}
                            </Group>
                            <DndContext sensors={sensors} collisionDetection={closestCenter} onDragEnd={(event) => reorder('/menu-items', dishes, event, (old, rows) => ({ ...old, items: [...old.items.filter((item) => item.categoryId !== one.id), ...rows] }))}>
                              <SortableContext items={dishes.map((item) => item.id)} strategy={verticalListSortingStrategy}>
                                <Stack gap={6}>
                                  {dishes.map((item) => (
                                    <Sortable key={item.id} id={item.id} label={t('restaurant.menu.move', { name: item.name })} disabled={!mayChange}>
                                      {(itemGrip, itemStyle, itemRef) => (
                                        <div className={classes.dish} ref={itemRef} style={itemStyle} data-out={!item.isAvailable || undefined}>
                                          {itemGrip}
                                          <Stack gap={0} flex={1} miw={0}>
                                            <Text size="sm" fw={600} className={classes.dishName}>
                                              {item.name}
                                            </Text>
                                            <Text size="xs" c="dimmed" truncate>
                                              {[item.description, (item.options ?? []).map((option) => option.name).join(', '), (item.allergens ?? []).join(', ')].filter(Boolean).join(' · ')}
                                            </Text>
                                          </Stack>
                                          <Text size="sm" fw={600}>
                                            {money(item.price, house.currency)}
                                          </Text>
                                          <Switch
                                            size="md"
                                            disabled={!mayChange}
                                            checked={item.isAvailable}
                                            onLabel={t('restaurant.menu.in')}
                                            offLabel={t('restaurant.menu.out')}
                                            aria-label={t('restaurant.menu.availability', { name: item.name })}
                                            onChange={() => available.mutate({ one: item, on: !item.isAvailable })}
                                          />
                                          {mayChange && (
                                            <>
                                              <IconButton label={t('common.editOne', { name: item.name })} icon={IconEdit} onClick={() => setDish(item)} />
                                              <IconButton
                                                label={t('common.removeOne', { name: item.name })}
                                                icon={IconTrash}
                                                onClick={() => confirmed({ title: t('common.removeOne', { name: item.name }), text: t('restaurant.menu.removeText'), confirm: t('common.remove'), cancel: t('common.cancel'), onConfirm: () => removeDish.mutate(item) })}
                                              />
                                            </>
                                          )}
                                        </div>
                                      )}
                                    </Sortable>
                                  ))}
                                </Stack>
                              </SortableContext>
                            </DndContext>
                          </Card>
                        )}
                      </Sortable>
                    );
                  })}
                </Stack>
              </SortableContext>
            </DndContext>
          );
        }}
      </Answered>
      <Drawer opened={dish !== null} onClose={() => setDish(null)} position="right" size="lg" title={dish && 'id' in dish ? t('common.editOne', { name: dish.name }) : t('restaurant.menu.addDish')} closeButtonProps={{ 'aria-label': t('common.close') }}>
        {dish !== null && <DishForm house={house} dish={'id' in dish ? dish : null} categoryId={dish.categoryId ?? ''} categories={menu.data?.categories ?? []} close={() => setDish(null)} />}
      </Drawer>
      <Drawer opened={category !== null} onClose={() => setCategory(null)} position="right" title={category === 'new' ? t('restaurant.menu.addCategory') : t('common.edit')} closeButtonProps={{ 'aria-label': t('common.close') }}>
        {category !== null && <CategoryForm house={house} category={category === 'new' ? null : category} place={(menu.data?.categories.length ?? 0) + 1} close={() => setCategory(null)} />}
      </Drawer>
    </Page>
  );
}

function Sortable({ id, label, disabled, children }: { id: string; label: string; disabled: boolean; children: (grip: ReactNode, style: CSSProperties, ref: (element: HTMLElement | null) => void) => ReactNode }) {
  const { attributes, listeners, setNodeRef, transform, transition } = useSortable({ id, disabled });
  const style: CSSProperties = { transform: transform ? `translate3d(0, ${transform.y}px, 0)` : undefined, transition };
  const grip = disabled ? null : (
    <button type="button" className={classes.grip} aria-label={label} {...attributes} {...listeners}>
      <IconGripVertical size={18} />
    </button>
  );
  return <>{children(grip, style, setNodeRef)}</>;
}

function CategoryForm({ house, category, place, close }: { house: Restaurant; category: Category | null; place: number; close: () => void }) {
  const { t } = useTranslation();
  const save = useAction((values: FormValues) => (category ? back.patch('/categories', { id: category.id, ...values }) : back.post('/categories', { restaurantId: house.id, displayOrder: place, ...values })), { stale: STALE, done: t('common.saved'), quiet: true });
  return (
    <SpecForm
      columns={1}
      initial={category ? { ...category } : { isActive: true }}
      submit={t('common.save')}
      busy={save.isPending}
      error={save.error}
      onCancel={close}
      onSubmit={(values) => save.mutate(values, { onSuccess: close })}
      fields={[
        { name: 'name', label: t('common.name'), required: true },
        { name: 'description', label: t('restaurant.description') },
        { name: 'isActive', label: t('restaurant.menu.shown'), kind: 'switch' },
      ]}
    />
  );
}

function DishForm({ house, dish, categoryId, categories, close }: { house: Restaurant; dish: Dish | null; categoryId: string; categories: Category[]; close: () => void }) {
  const { t } = useTranslation();
  const [options, setOptions] = useState<Option[]>(dish?.options ?? []);
  const save = useAction(
    (values: FormValues) => {
      const sent = { ...values, price: Number(values.price ?? 0), options: options.filter((option) => option.name.trim()).map((option) => ({ ...option, choices: option.choices?.filter((choice) => choice.label.trim()) })) };
      return dish ? back.patch('/menu-items', { id: dish.id, ...sent }) : back.post('/menu-items', { restaurantId: house.id, ...sent });
    },
    { stale: STALE, done: t('common.saved'), quiet: true },
  );
  const editOption = (index: number, change: Partial<Option>) => setOptions(options.map((option, at) => (at === index ? { ...option, ...change } : option)));
  const editChoice = (index: number, place: number, change: Partial<Choice>) => editOption(index, { choices: (options[index]?.choices ?? []).map((choice, at) => (at === place ? { ...choice, ...change } : choice)) });
  return (
    <SpecForm
      initial={dish ? { ...dish } : { categoryId, isAvailable: true, price: '' }}
      submit={t('common.save')}
      busy={save.isPending}
      error={save.error}
      onCancel={close}
      onSubmit={(values) => save.mutate(values, { onSuccess: close })}
      fields={[
        { name: 'name', label: t('common.name'), required: true },
        { name: 'price', label: t('restaurant.menu.price'), kind: 'number', decimals: 2, min: 0, required: true, suffix: ` ${house.currency}` },
        { name: 'categoryId', label: t('restaurant.menu.category'), kind: 'select', options: categories.map((one) => ({ value: one.id, label: one.name })) },
        { name: 'isAvailable', label: t('restaurant.menu.isAvailable'), kind: 'switch' },
        { name: 'description', label: t('restaurant.description'), kind: 'area' },
        { name: 'ingredients', label: t('restaurant.menu.ingredients'), kind: 'tags' },
        { name: 'allergens', label: t('restaurant.menu.allergens'), hint: t('restaurant.menu.allergensHint'), kind: 'tags' },
      ]}
    >
      <Stack gap="sm">
        <Text fw={600} size="sm">
          {t('restaurant.menu.options')}
        </Text>
        {options.map((option, index) => (
          <Card key={index} withBorder padding="sm" radius="md">
            <Group align="flex-end" wrap="nowrap">
              <TextInput flex={1} label={t('restaurant.menu.optionName')} value={option.name} onChange={(event) => editOption(index, { name: event.currentTarget.value })} />
              <Checkbox mb={8} label={t('restaurant.menu.optionRequired')} checked={Boolean(option.required)} onChange={(event) => editOption(index, { required: event.currentTarget.checked })} />
              <NumberInput w={90} label={t('restaurant.menu.optionMax')} min={1} value={option.max ?? ''} onChange={(value) => editOption(index, { max: value === '' ? undefined : Number(value) })} hideControls />
              <ActionIcon mb={4} variant="subtle" color="gray" size="lg" aria-label={t('common.removeOne', { name: option.name })} onClick={() => setOptions(options.filter((_, at) => at !== index))}>
                <IconTrash size={18} />
              </ActionIcon>
            </Group>
            {option.source ? (
              <Text size="sm" c="dimmed" mt="xs">
                {t('restaurant.menu.fromMenu')}
              </Text>
            ) : (
              <Stack gap={6} mt="xs">
                {(option.choices ?? []).map((choice, place) => (
                  <Group key={place} gap="xs" wrap="nowrap">
                    <TextInput flex={1} size="xs" aria-label={t('restaurant.menu.choice')} value={choice.label} onChange={(event) => editChoice(index, place, { label: event.currentTarget.value })} />
                    <NumberInput w={110} size="xs" aria-label={t('restaurant.menu.choicePrice')} decimalScale={2} min={0} prefix="+ " suffix={` ${house.currency}`} value={choice.price} onChange={(value) => editChoice(index, place, { price: Number(value) || 0 })} hideControls />
                    <ActionIcon variant="subtle" color="gray" aria-label={t('common.removeOne', { name: choice.label })} onClick={() => editOption(index, { choices: (option.choices ?? []).filter((_, at) => at !== place) })}>
                      <IconTrash size={16} />
                    </ActionIcon>
                  </Group>
                ))}
                <Group>
                  <Button
                    size="compact-xs"
                    variant="subtle"
                    leftSection={<IconPlus size={12} />}
                    onClick={() => {
                      const used = options.flatMap((one) => one.choices ?? []).map((choice) => choice.id ?? 0);
                      editOption(index, { choices: [...(option.choices ?? []), { id: Math.max(0, ...used) + 1, label: '', price: 0 }] });
                    }}
                  >
                    {t('restaurant.menu.addChoice')}
                  </Button>
                </Group>
              </Stack>
            )}
          </Card>
        ))}
        <Group>
          <Button size="xs" variant="default" leftSection={<IconPlus size={14} />} onClick={() => setOptions([...options, { name: '', required: false, choices: [] }])}>
            {t('restaurant.menu.addOption')}
          </Button>
        </Group>
      </Stack>
    </SpecForm>
  );
}
