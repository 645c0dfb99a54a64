package graph

import (
	"net/http"
	"strings"

	"rollcall/gateway/auth/devissuer"
	"rollcall/gateway/front"
	"rollcall/messages"
)

// person is Graph's user, with the properties that it gives unasked.
type person struct {
	Context           string   `json:"@odata.context,omitempty"`
	BusinessPhones    []string `json:"businessPhones"`
	DisplayName       string   `json:"displayName"`
	GivenName         string   `json:"givenName"`
	JobTitle          string   `json:"jobTitle"`
	Mail              string   `json:"mail"`
	MobilePhone       *string  `json:"mobilePhone"`
	OfficeLocation    *string  `json:"officeLocation"`
	PreferredLanguage *string  `json:"preferredLanguage"`
	Surname           string   `json:"surname"`
	PrincipalName     string   `json:"userPrincipalName"`
	ID                string   `json:"id"`
}

func personOf(p devissuer.Person) person {
	return person{
		BusinessPhones: []string{}, DisplayName: p.DisplayName, GivenName: p.GivenName, JobTitle: p.JobTitle,
		Mail: p.Mail, Surname: p.Surname, PrincipalName: p.Mail, ID: p.ID,
	}
}

// directory tells whether there is one, and whether the caller may look into
// it: any permission about presence will do for made-up people.
func (a *API) directory(c *call) error {
	if !a.demo {
		return &problem{
			status: http.StatusNotImplemented, code: codeNotImplemented, detail: front.ErrNotFound.Code,
			text: "This node has no directory of users: it serves their presence alone.",
		}
	}
	if c.caller.Scopes == 0 {
		return &problem{
			status: http.StatusForbidden, code: codeDenied, detail: messages.ErrForbidden.Code,
			text: "Insufficient privileges to complete the operation.",
		}
	}
	return nil
}

func (a *API) getMe(c *call) (answer, error) {
	u, err := c.subject()
	if err != nil {
		return answer{}, err
	}
	id, _ := u.GUID()
	return a.person(c, id)
}

func (a *API) getUser(c *call) (answer, error) { return a.person(c, c.id) }

// person finds somebody of the caller's tenant by id or user principal name.
func (a *API) person(c *call, id string) (answer, error) {
	if err := a.directory(c); err != nil {
		return answer{}, err
	}
	for _, p := range devissuer.Demo {
		if p.Tenant == c.caller.Tenant && (strings.EqualFold(p.ID, id) || strings.EqualFold(p.Mail, id)) {
			found := personOf(p)
			found.Context = c.base + "/$metadata#users/$entity"
			return answer{status: http.StatusOK, body: found}, nil
		}
	}
	return answer{}, noUser(id)
}

func (a *API) listUsers(c *call) (answer, error) {
	if err := a.directory(c); err != nil {
		return answer{}, err
	}
	for _, option := range []string{"$filter", "$search"} {
		if c.query.Has(option) {
			return answer{}, bad(option, "is not supported here")
		}
	}
	people := []person{}
	for _, p := range devissuer.Demo {
		if p.Tenant == c.caller.Tenant {
			people = append(people, personOf(p))
		}
	}
	return answer{status: http.StatusOK, body: collection[person]{
		Context: c.base + "/$metadata#users", Value: people,
	}}, nil
}

// getPhoto is about people who have none, whoever they are.
func (a *API) getPhoto(*call) (answer, error) {
	return answer{}, &problem{
		status: http.StatusNotFound, code: codeNoImage, detail: front.ErrNotFound.Code,
		text: "There is no photo of this user.",
	}
}
