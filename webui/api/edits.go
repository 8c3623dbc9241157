package api

import (
	"fmt"

	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/webui/auth"
)

// edit makes edits in a copy of a policy. A member may only touch rules of their own person.
func (h *Handlers) edit(p auth.Principal, before policy.Policy, edits []Edit) (policy.Policy, error) {
	e := policy.Edit(before)
	for i, one := range edits {
		var err error
		if p.Role == auth.Admin {
			err = h.editOne(e, one)
		} else {
			err = editOwn(e, one, p.Person)
		}
		if err != nil {
			return policy.Policy{}, fmt.Errorf("edit %d: %w", i+1, err)
		}
	}
	return e.Policy(), nil
}

// editOwn makes one edit of a member. A rule of others is as if it did not exist, but for its id, which is taken.
func editOwn(e *policy.Editor, one Edit, person string) error {
	mine := func(id string) error {
		if r, ok := e.Rule(id); !ok || r.Tier != policy.User || r.Owner != person {
			return fmt.Errorf("rule %q: %w", id, policy.ErrNoEntry)
		}
		return nil
	}
	if person == "" {
		return fmt.Errorf("you belong to no person: %w", auth.ErrForbidden)
	}
	switch {
	case one.PutRule != nil && (one.Owner == nil || *one.Owner == person):
		if _, taken := e.Rule(one.PutRule.Id); taken {
			if err := mine(one.PutRule.Id); err != nil {
				return invalid("rule id %q is taken: choose another one", one.PutRule.Id)
			}
		}
		r, err := ruleFrom(*one.PutRule, person)
		if err != nil {
			return err
		}
		e.PutRule(r)
		return nil
	case one.DeleteRule != nil:
		if err := mine(*one.DeleteRule); err != nil {
			return err
		}
		return e.DeleteRule(*one.DeleteRule)
	case one.Order != nil:
		for _, id := range *one.Order {
			if err := mine(id); err != nil {
				return err
			}
		}
		return order(e, *one.Order)
	}
	return auth.ErrForbidden
}

func order(e *policy.Editor, ids []string) error {
	if err := e.Order(ids); err != nil {
		return invalid("order: %v", err)
	}
	return nil
}

// editOne makes one edit of an admin.
func (h *Handlers) editOne(e *policy.Editor, one Edit) error {
	switch {
	case one.PutRule != nil:
		r, err := ruleFrom(*one.PutRule, value(one.Owner))
		if err != nil {
			return err
		}
		e.PutRule(r)
	case one.DeleteRule != nil:
		return e.DeleteRule(*one.DeleteRule)
	case one.Order != nil:
		return order(e, *one.Order)
	case one.PutPerson != nil:
		e.PutPerson(policy.Person{ID: one.PutPerson.Id, Name: value(one.PutPerson.Name)})
	case one.PutDevice != nil:
		return h.editDevice(e, *one.PutDevice)
	case one.PutGroup != nil:
		g := one.PutGroup
		e.PutGroup(policy.Group{ID: g.Id, Name: value(g.Name), Devices: value(g.Devices), People: value(g.People)})
	case one.DeletePerson != nil:
		return e.DeleteEntry("person", *one.DeletePerson)
	case one.DeleteDevice != nil:
		return e.DeleteEntry("device", *one.DeleteDevice)
	case one.DeleteGroup != nil:
		return e.DeleteEntry("group", *one.DeleteGroup)
	default:
		return invalid("say what to change: putRule, deleteRule, order, putPerson, putDevice, putGroup, deletePerson, deleteDevice or deleteGroup")
	}
	return nil
}

// editDevice names a device that the router knows; what the policy has of it already stays.
func (h *Handlers) editDevice(e *policy.Editor, v DeviceEntry) error {
	d, named := e.Device(v.Id)
	if !named {
		found := false
		for _, known := range h.engine.Devices() {
			if known.ID != v.Id {
				continue
			}
			found = true
			d = policy.Device{ID: known.ID, MACs: known.MACs}
			if len(d.MACs) == 0 {
				d.Addrs = known.Addrs // behind another router
			}
		}
		if !found {
			return fmt.Errorf("%w: %q", engine.ErrUnknownDevice, v.Id)
		}
	}
	if v.Name != nil {
		d.Name = *v.Name
	}
	if v.Owner != nil {
		d.Owner = *v.Owner
	}
	e.PutDevice(d)
	return nil
}
