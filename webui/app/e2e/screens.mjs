// Every screen of an admin, by its address.
export const SCREENS = ['home', 'links', 'links/fiber', 'people', 'people/laptop', 'apps', 'rules', 'rules/ana', 'rules/try', 'rules/text', 'bandwidth', 'filter', 'activity', 'activity/audit', 'settings']

/** Every screen of a member. */
export const MEMBER_SCREENS = ['home', 'people', 'apps', 'rules', 'bandwidth', 'filter', 'ask', 'settings']
