// Package web is the page that a node shows to people in development mode: who
// is here, what they are doing, and the means to change it.
//
// It owns the files below assets and the headers they are served with. It never
// talks to the rest of the node: the page is a client like any other, of the
// native protocol and the development issuer, and gets no data by another way.
// Nothing is built, nothing is loaded from elsewhere; what is in assets is what
// the browser runs.
//
//	index.html   the page's skeleton and its symbols
//	  app.js         who this tab is
//	  session.js     what happens when: connection, controls, view
//	  |- protocol.js   connection, resume, acknowledgement       (no DOM)
//	  |- presence.js   words, colours, glyphs, durations         (no DOM)
//	  |- people.js     the demo directory                        (no DOM)
//	  |- sources.js    what this page says about its user        (no DOM)
//	  |- activity.js   whether somebody is at this device
//	  |- latency.js    how long a change was on its way          (no DOM)
//	  `- view.js       everything that is seen
//	       |- me.js        the user's own card and its controls
//	       |- bubbles.js   the other people
//	       `- dom.js       small steps on elements
package web
